import { CodedError } from '#shared/errors.ts'

/** What a value has in common with the one it replaces, in bytes: at its begin and, not overlapping, at its end. */
export interface Trim {
  head: number
  tail: number
}

/**
 * A record is rewritten whole although a few bytes of it change, mostly in one place (docs/facts/baileys.md §3), so
 * finding that place by its two ends costs a fraction of what a compressor takes to find it.
 */
export function trimOf(value: Uint8Array, before: Uint8Array): Trim {
  const most = Math.min(value.length, before.length)
  let head = 0
  while (head < most && value[head] === before[head]) head++
  const last = value.length - 1
  const lastBefore = before.length - 1
  let tail = 0
  while (tail < most - head && value[last - tail] === before[lastBefore - tail]) tail++
  return { head, tail }
}

/** What lies between the two ends: of the value what is new, of the one before what it replaces. */
export const middleOf = (bytes: Uint8Array, { head, tail }: Trim): Uint8Array =>
  bytes.subarray(head, bytes.length - tail)

/** The value again. @throws CodedError `bad_bytes` when the value before is not the one that was trimmed against */
export function untrim(middle: Uint8Array, before: Uint8Array, { head, tail }: Trim): Buffer {
  if (head + tail > before.length)
    throw new CodedError('bad_bytes', 'untrim value: another value was there before')
  return Buffer.concat([before.subarray(0, head), middle, before.subarray(before.length - tail)])
}
