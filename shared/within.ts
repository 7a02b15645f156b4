import type { Clock } from './clock.ts'

/** True when the work ended in that time, well or badly. It goes on where it did not; its failure is nobody's. */
export async function within(clock: Clock, ms: number, work: unknown): Promise<boolean> {
  const stop = new AbortController()
  const timeout = clock.sleep(ms, stop.signal).then(
    () => false,
    () => false,
  )
  const done = Promise.resolve(work).then(
    () => true,
    () => true,
  )
  const ended = await Promise.race([done, timeout])
  stop.abort()
  return ended
}
