import { systemClock } from '#shared/clock.ts'

/** Long enough for a loaded machine; a condition that holds is seen within a step. */
const WITHIN_MS = 10_000
const STEP_MS = 2

/**
 * Waits until `condition` answers something truthy, and answers that. Waits for a value, never for a time.
 * @throws Error naming `what` when it does not come
 */
export async function eventually<T>(
  what: string,
  condition: () => T | Promise<T>,
  withinMs = WITHIN_MS,
): Promise<NonNullable<T>> {
  const sinceMs = systemClock.monotonicMs()
  for (;;) {
    const value = await condition()
    if (value) return value
    if (systemClock.monotonicMs() - sinceMs > withinMs) throw new Error(`it never came to this: ${what}`)
    await systemClock.sleep(STEP_MS)
  }
}
