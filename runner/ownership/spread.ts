import { createHash } from 'node:crypto'

interface Candidate {
  id: string
  capacity: number
}

/**
 * The runner that should have a session: the highest score of weighted rendezvous hashing. When a runner joins or leaves,
 * only the sessions that it wins or had move. Pure; `undefined` without candidates.
 */
export function preferredRunner<T extends Candidate>(
  sessionKey: string,
  runners: readonly T[],
): T | undefined {
  let best: T | undefined
  let bestScore = -Infinity
  for (const runner of runners) {
    const score = scoreOf(sessionKey, runner)
    // Equal scores are as good as impossible; the lower id wins, so that everybody agrees.
    if (score > bestScore || (score === bestScore && best !== undefined && runner.id < best.id)) {
      best = runner
      bestScore = score
    }
  }
  return best
}

/** -capacity / ln(hash), the usual weighting: twice the capacity wins twice as many sessions. */
function scoreOf(sessionKey: string, { id, capacity }: Candidate): number {
  const digest = createHash('sha256').update(`${sessionKey}|${id}`).digest()
  // 48 bits, in (0, 1).
  const uniform = (digest.readUIntBE(0, 6) + 1) / (2 ** 48 + 2)
  return -capacity / Math.log(uniform)
}
