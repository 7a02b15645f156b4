import { toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import { preferredRunner } from '../ownership/spread.ts'
import type { SessionState } from '../state/session-state.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { RunnerLease } from '../ownership/lease.ts'
import type { RunnersSeen } from '../ownership/runners-seen.ts'
import type { DataKeys } from '../state/data-keys.ts'
import type { Basics, Sessions, Trail } from './needs.ts'
import type { SlowLane } from './slow-lane.ts'
import type { View } from './view.ts'

/** Whoever could not get a new key waits so long, and lets the others have theirs. */
const FAILED_WAIT_MS = 3_600_000

/** What is looked at of a session in hand. */
interface Rotated {
  state: Pick<SessionState, 'epoch' | 'ring' | 'rotate'> | undefined
}

export interface KeyCareNeeds extends Basics, Sessions<Rotated>, Trail {
  stores: { keys: Pick<Stores['keys'], 'currentVersion'>; sessions: Pick<Stores['sessions'], 'get'> }
  dataKeys: Pick<DataKeys, 'ring' | 'rewrap'>
  view: Pick<View, 'sessions' | 'owners' | 'refreshSession'>
  snapshots: Pick<SlowLane, 'offer'>
  lease: Pick<RunnerLease, 'id'>
  runners: Pick<RunnersSeen, 'candidates'>
}

/**
 * Looks after the data keys: each session gets a new one when the newest is old, and all are wrapped anew once the
 * key-encryption key has a new version, those of sessions that nobody owns too, so that the old version can go.
 */
export class KeyCare {
  readonly #context: KeyCareNeeds
  /** 0 or less: never by the clock. */
  readonly #rotateAfterMs: number
  readonly #notBeforeMs = new Map<SessionKey, number>()

  constructor(context: KeyCareNeeds, rotateAfterMs: number) {
    this.#context = context
    this.#rotateAfterMs = rotateAfterMs
  }

  /** Gives a session whose key is old a new one, where snapshots are taken. */
  look(): void {
    const { live, view, clock, snapshots } = this.#context
    const nowMs = clock.nowMs()
    const key = [...live.keys()].find(
      (key) => this.#isOld(view.sessions.get(key), nowMs) && (this.#notBeforeMs.get(key) ?? 0) <= nowMs,
    )
    const state = key && live.get(key)?.state
    if (!key || !state) return
    snapshots.offer(key, async () => {
      // It waited for its turn, and the session may have gone meanwhile.
      if (live.get(key)?.state === state) await this.#rotate(key, state)
    })
  }

  async #rotate(key: SessionKey, state: NonNullable<Rotated['state']>): Promise<void> {
    const { view, log, clock, reporter } = this.#context
    const session = view.sessions.get(key)
    if (!session) return
    try {
      await state.rotate(session)
      this.#notBeforeMs.delete(key)
      await view.refreshSession(key)
      reporter.event(key, { kind: 'snapshot', why: 'rotate: the data key was old', epoch: state.epoch })
    } catch (error) {
      this.#notBeforeMs.set(key, clock.nowMs() + FAILED_WAIT_MS)
      log.warn({ error: toError(error), sessionId: key }, 'an old data key could not be rotated yet')
    }
  }

  /** Every data key that an older version wrapped, one after the other. A failure is made up for by the next time. */
  async rewrap(): Promise<void> {
    const { stores, dataKeys, view, live, log } = this.#context
    try {
      const version = await stores.keys.currentVersion()
      for (const [key, known] of view.sessions) {
        if (isWrappedWith(known, version) || !this.#isMine(key)) continue
        const session = await stores.sessions.get(key)
        if (!session || isWrappedWith(session, version)) continue
        const ring = await dataKeys.ring(key, session, live.get(key)?.state?.ring)
        const count = await dataKeys.rewrap(key, ring, session.dataKeys)
        log.info({ sessionId: key, count }, 'data keys wrapped anew')
      }
    } catch (error) {
      log.warn({ error: toError(error) }, 'data keys could not be wrapped anew yet')
    }
  }

  #isOld(session: Session | undefined, nowMs: number): boolean {
    const newest = session?.dataKeys.at(-1)
    return this.#rotateAfterMs > 0 && newest !== undefined && nowMs - newest.createdAt >= this.#rotateAfterMs
  }

  /** Two who both think so do the same twice, which is harmless. */
  #isMine(key: SessionKey): boolean {
    const { live, view, runners, lease } = this.#context
    if (live.has(key)) return true
    if (view.owners.get(key)?.runnerId !== undefined) return false
    return preferredRunner(key, runners.candidates())?.id === lease.id
  }
}

const isWrappedWith = ({ dataKeys }: Session, version: string): boolean =>
  dataKeys.every(({ keyVersion }) => keyVersion === version)
