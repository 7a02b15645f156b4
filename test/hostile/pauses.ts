/** What `loop-watch.ts` writes, a line each: the longest pause between two moments of one clock. */
export interface Beat {
  fromMs: number
  toMs: number
  pauseMs: number
}

/** As the file holds them; the last line may be one that is being written. */
export const beatsOf = (text: string): Beat[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Beat)

/** What halts the machine does not halt all of it at the very same moment. */
const BESIDE_MS = 100

/**
 * The longest pause that was noted after `sinceMs`, less the longest of an idle process at the same time: what halts the whole
 * machine is nobody's doing. Pure.
 */
export function worstPauseMs(beats: readonly Beat[], idle: readonly Beat[], sinceMs: number): number {
  const excess = beats
    .filter(({ toMs }) => toMs >= sinceMs)
    .map(({ fromMs, toMs, pauseMs }) => {
      const beside = idle.filter(
        (other) => other.fromMs < toMs + BESIDE_MS && other.toMs > fromMs - BESIDE_MS,
      )
      return pauseMs - Math.max(0, ...beside.map((other) => other.pauseMs))
    })
  return Math.max(0, ...excess)
}
