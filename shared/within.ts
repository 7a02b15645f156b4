import type { Clock } from './clock.ts'

/**
 * What the work gives, or what `late` gives or throws once that time is over. Nothing is stopped: whoever can abandon the
 * work does so in `late`, and a failure that comes after it is nobody's. No timer stays behind.
 */
export async function withDeadline<T, L>(
  clock: Clock,
  ms: number,
  work: Promise<T>,
  late: () => L,
): Promise<T | L> {
  // A late failure has nobody left to hear it; without a handler it would end the process.
  work.catch(() => undefined)
  let cancel = (): void => undefined
  const over = new Promise<void>((resolve) => {
    cancel = clock.after(ms, resolve)
  }).then(late)
  try {
    return await Promise.race([work, over])
  } finally {
    cancel()
  }
}

/** True when the work ended in that time, well or badly. It goes on where it did not; its failure is nobody's. */
export function within(clock: Clock, ms: number, work: unknown): Promise<boolean> {
  const ended = Promise.resolve(work).then(
    () => true,
    () => true,
  )
  return withDeadline(clock, ms, ended, () => false)
}
