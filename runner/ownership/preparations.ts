import type { Clock } from '#shared/clock.ts'
import { toError } from '#shared/errors.ts'
import type { RunnerId, SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Owner, Session } from '#shared/session.ts'
import type { PreparedState } from '../state/prepared.ts'
import { preferredRunner } from './spread.ts'

/** A session that this runner will have to take from one that drains. */
interface Expected {
  key: SessionKey
  /** Of its present owner. */
  epoch: number
}

export interface PreparationsDeps {
  clock: Clock
  log: Log
  /** This runner takes sessions. */
  mayTake: () => boolean
  /** In the order in which they will come. */
  expected: () => readonly Expected[]
  ownerOf: (key: SessionKey) => Owner | undefined
  prepare: (key: SessionKey) => Promise<PreparedState | undefined>
}

/** More would only take the processor from the sessions that are here, and from those that come first. */
const AT_ONCE = 4
/** A drain lets some fifty sessions go in a second at most; what comes later is prepared later. */
const HELD_MAX = 64
const BYTES_MAX = 64 * 1024 * 1024
/** A drain is over after 10 s (Cloud Run kills then); what was not needed by then is not needed. */
const HELD_FOR_MS = 15_000

/**
 * The sessions that are about to come here from runners that drain, rebuilt ahead, so that only what their owners write
 * after that is left to read when they are claimed. It saves time and nothing else: nothing is written, and whatever
 * goes wrong is left to the rehydration.
 */
export class Preparations {
  readonly #deps: PreparationsDeps
  readonly #held = new Map<SessionKey, { state: PreparedState; epoch: number; atMs: number }>()
  #waiting: readonly Expected[] = []
  /** Under which epoch each was begun: once is enough. */
  readonly #begun = new Map<SessionKey, number>()
  #underWay = 0
  #bytes = 0

  constructor(deps: PreparationsDeps) {
    this.#deps = deps
  }

  /** The other runners may have changed: forgets what does not come here any more, and begins with what will. */
  look(): void {
    const mayTake = this.#deps.mayTake()
    const expected = mayTake ? this.#deps.expected() : []
    const epochs = new Map(expected.map(({ key, epoch }) => [key, epoch]))
    for (const [key, held] of this.#held) {
      const comes = epochs.get(key) === held.epoch || this.#isReleased(key, held.epoch)
      if (!mayTake || !comes || this.#isOld(held.atMs)) this.#forget(key)
    }
    if (expected.length === 0 && this.#held.size === 0) this.#begun.clear()
    this.#waiting = expected.filter(({ key, epoch }) => this.#begun.get(key) !== epoch)
    this.#pump()
  }

  /** Gives what was prepared of a session that is ours now, once. */
  take(key: SessionKey): PreparedState | undefined {
    const held = this.#held.get(key)
    if (!held) return undefined
    this.#forget(key)
    this.#pump()
    return this.#isOld(held.atMs) ? undefined : held.state
  }

  #isReleased(key: SessionKey, epoch: number): boolean {
    const owner = this.#deps.ownerOf(key)
    return owner?.epoch === epoch && owner.runnerId === undefined
  }

  #isOld(atMs: number): boolean {
    return this.#deps.clock.monotonicMs() >= atMs + HELD_FOR_MS
  }

  #forget(key: SessionKey): void {
    this.#bytes -= this.#held.get(key)?.state.bytes ?? 0
    this.#held.delete(key)
  }

  #pump(): void {
    while (
      this.#underWay < AT_ONCE &&
      this.#held.size + this.#underWay < HELD_MAX &&
      this.#bytes < BYTES_MAX
    ) {
      const [next, ...others] = this.#waiting
      if (!next) return
      this.#waiting = others
      // It may have left before its turn came.
      const owner = this.#deps.ownerOf(next.key)
      if (owner?.epoch !== next.epoch || owner.runnerId === undefined) continue
      this.#begun.set(next.key, next.epoch)
      this.#underWay++
      void this.#prepare(next).finally(() => {
        this.#underWay--
        this.#pump()
      })
    }
  }

  async #prepare({ key, epoch }: Expected): Promise<void> {
    const { clock, log, mayTake, prepare, ownerOf } = this.#deps
    const atMs = clock.monotonicMs()
    try {
      const state = await prepare(key)
      // It was claimed meanwhile, by this runner or another, or it is this runner that ends.
      if (!state || ownerOf(key)?.epoch !== epoch || !mayTake()) return
      this.#held.set(key, { state, epoch, atMs })
      this.#bytes += state.bytes
      const { seq } = state.last
      log.debug(
        { sessionId: key, seq, durationMs: Math.round(clock.monotonicMs() - atMs) },
        'session prepared',
      )
    } catch (error) {
      log.debug({ error: toError(error), sessionId: key }, 'session could not be prepared')
    }
  }
}

interface Candidate {
  id: string
  capacity: number
}

/**
 * What runners that drain have, and this runner is to have next, the quiet ones first as in the hand-over. Only what is
 * connected: nothing else is without a socket meanwhile. Pure.
 */
export function expectedOf(
  sessions: ReadonlyMap<SessionKey, Session>,
  owners: ReadonlyMap<SessionKey, Owner>,
  leaving: ReadonlySet<RunnerId>,
  candidates: readonly Candidate[],
  me: RunnerId,
): readonly Expected[] {
  if (leaving.size === 0) return []
  const found: (Expected & { activeAt: number })[] = []
  for (const [key, { runnerId, epoch }] of owners) {
    if (runnerId === undefined || !leaving.has(runnerId)) continue
    const session = sessions.get(key)
    if (session?.want.state !== 'running' || session.want.deleting || session.status?.phase !== 'connected')
      continue
    if (preferredRunner(key, candidates)?.id !== me) continue
    found.push({ key, epoch, activeAt: session.status.lastActivityAt ?? 0 })
  }
  return found.toSorted((a, b) => a.activeAt - b.activeAt)
}
