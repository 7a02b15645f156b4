import type { Clock } from '../clock.ts'
import { hasCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Stores } from '../store/stores.ts'

/** How long one look at the stores answers for: load balancers ask often. */
const CHECK_FOR_MS = 2_000

interface Deps {
  stores: Pick<Stores, 'check'>
  clock: Clock
  log: Log
  /** What is shown of the sessions may be old: their statuses have waited for too long to be written. */
  isStatusLate?: () => boolean
}

/** `ok`, or the code of what is wrong; the text for the operator goes to the log, not to whoever asks without a key. */
export function rememberedCheck(deps: Deps): () => Promise<string> {
  let last: { answer: Promise<string>; atMs: number } | undefined
  return () => {
    const nowMs = deps.clock.monotonicMs()
    if (!last || nowMs - last.atMs >= CHECK_FOR_MS) last = { answer: check(deps), atMs: nowMs }
    return last.answer
  }
}

async function check({ stores, log, isStatusLate }: Deps): Promise<string> {
  try {
    await stores.check()
    if (isStatusLate?.() !== true) return 'ok'
    log.warn('the stores answer, and statuses of sessions still wait to be written')
    return 'status_late'
  } catch (error) {
    log.warn({ error }, 'the stores are not ready')
    return hasCode(error, 'config', 'store_unavailable') ? error.code : 'internal'
  }
}
