import { toError } from './errors.ts'

/**
 * Ends as the work does, or rejects with the signal's reason when that aborts first: then the work goes on by itself, and
 * what becomes of it is nobody's.
 */
export async function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const stop = (): void => aborted.reject(toError(signal.reason))
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([aborted.promise, work])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
