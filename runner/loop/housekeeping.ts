import { isDeepStrictEqual } from 'node:util'
import { toError } from '#shared/errors.ts'
import type { Clock } from '#shared/clock.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { LiveSession } from '../session/live-session.ts'
import type { RunnerLease } from '../ownership/lease.ts'
import type { Preparations } from '../ownership/preparations.ts'
import type { RunnersSeen } from '../ownership/runners-seen.ts'
import type { BootReport } from '../pacing/boot-report.ts'
import type { FleetBreaker } from '../pacing/breaker.ts'
import type { LoopLag } from '../pacing/loop-lag.ts'
import type { KeyQueue } from './key-queue.ts'
import type { WorkingCopies } from '../state/working-copy.ts'
import type { Sessions } from './needs.ts'
import type { ClientVersions } from '../version/version.ts'
import type { View } from './view.ts'
import { lateOf, type LateNeeds } from './late.ts'
import { logBeat, logLate } from './log-lines.ts'
import type { HandOver } from '../ownership/hand-over.ts'
import { nextToMove } from '../ownership/rebalance.ts'
import { Expiry, type ExpiryNeeds } from '../removal/expiry.ts'
import type { KeyCare } from './key-care.ts'
import type { Passes } from './passes.ts'
import { snapshotIfDue, type UpkeepNeeds } from './upkeep.ts'
import { waitingOf } from './status.ts'

/** infra/alerts.tf counts these lines: five minutes without one wake somebody. */
const BEAT_EVERY_MS = 60_000

/** What was discarded is gone soon, and looking costs two reads. */
const EXPIRE_EVERY_MS = 60_000
/** How often to ask whether a snapshot has become due, and to tell of the progress of a start. */
const TICK_MS = 1_000
/** A key-encryption key gets a new version every few months; asking for it is one call. */
const REWRAP_EVERY_MS = 3_600_000
/** Once a day WhatsApp's page is read, by one runner; the others learn of what it found. */
const VERSION_EVERY_MS = 3_600_000
/** Another runner may have found a version that WhatsApp takes. */
const VERSION_STOPPED_MS = 30_000
/** A store that could not be asked is asked again after this. */
const FAILED_LOOK_MS = 1_000

export interface HousekeepingSettings {
  /** How long the other runners are not looked at, at the most; without it their leases decide. */
  lookEveryMs: number | undefined
  resyncEveryMs: number
  rebalancePerMinute: number
  /** Reconciling is on, and this runner does not drain. */
  mayAct: () => boolean
}

export interface HousekeepingNeeds extends Sessions, ExpiryNeeds, LateNeeds, UpkeepNeeds {
  live: ReadonlyMap<SessionKey, LiveSession>
  reporter: ExpiryNeeds['reporter'] & LateNeeds['reporter'] & UpkeepNeeds['reporter']
  clock: Clock
  workingCopies: ExpiryNeeds['workingCopies'] & Pick<WorkingCopies, 'keys'>
  lease: Pick<RunnerLease, 'id' | 'isGood' | 'takeMarginMs'>
  runners: Pick<RunnersSeen, 'refresh' | 'membership' | 'candidates' | 'longDead' | 'nextLookInMs'>
  preparations: Pick<Preparations, 'look'>
  view: ExpiryNeeds['view'] & Pick<View, 'load'>
  queue: Pick<KeyQueue<SessionKey>, 'add'>
  lag: Pick<LoopLag, 'ticked'>
  boot: Pick<BootReport, 'tick'>
  keyCare: Pick<KeyCare, 'look' | 'rewrap'>
  version: Pick<ClientVersions, 'look'>
  breaker: Pick<FleetBreaker, 'isStopped'>
  passes: Pick<Passes, 'sweep'>
  handOver: Pick<HandOver, 'give'>
}

/** What a runner does by the clock, whatever happens: look at the others, the full pass, snapshots that are due, rebalancing. */
export class Housekeeping {
  readonly #context: HousekeepingNeeds
  readonly #settings: HousekeepingSettings
  /** Wall-clock times at which sessions were moved away. */
  readonly #movedAt = new Map<SessionKey, number>()
  readonly #timers = new Map<string, () => void>()
  #stopped = false

  constructor(context: HousekeepingNeeds, settings: HousekeepingSettings) {
    this.#context = context
    this.#settings = settings
  }

  start(): void {
    const { resyncEveryMs, rebalancePerMinute } = this.#settings
    this.#lookAgain(this.#context.runners.nextLookInMs())
    this.#every('tick', TICK_MS, async () => {
      const { boot, clock, lag, log } = this.#context
      const nowMs = clock.monotonicMs()
      const lateMs = lag.ticked(nowMs, TICK_MS)
      if (lateMs !== undefined)
        log.warn(
          { lateMs: Math.round(lateMs) },
          'event loop was held up; sessions are left to others for a while',
        )
      boot.tick(nowMs)
      for (const key of this.#context.live.keys()) snapshotIfDue(this.#context, key)
      this.#queueWaiting()
      if (this.#settings.mayAct()) this.#context.keyCare.look()
    })
    this.#every('rewrap', REWRAP_EVERY_MS, async () => {
      if (this.#settings.mayAct() && this.#context.lease.isGood) await this.#context.keyCare.rewrap()
    })
    this.#every('version', VERSION_EVERY_MS, async () => {
      if (this.#settings.mayAct()) await this.#context.version.look()
    })
    this.#every('refused version', VERSION_STOPPED_MS, async () => {
      const { version, breaker } = this.#context
      if (breaker.isStopped && this.#settings.mayAct()) await version.look()
    })
    this.#every('resync', resyncEveryMs, async () => {
      await this.resync()
      await this.#forgetDead()
      await this.#dropCopies()
    })
    const expiry = new Expiry(this.#context)
    this.#every('expire', EXPIRE_EVERY_MS, async () => {
      if (this.#settings.mayAct() && this.#context.lease.isGood) await expiry.run()
    })
    this.#beat()
    this.#every('beat', BEAT_EVERY_MS, async () => this.#beat())
    if (rebalancePerMinute > 0) this.#every('rebalance', 60_000 / rebalancePerMinute, () => this.#rebalance())
  }

  /** No work starts after this. */
  stop(): void {
    this.#stopped = true
    for (const cancel of this.#timers.values()) cancel()
    this.#timers.clear()
  }

  /** The next turn begins after the one before has ended, so a slow store is not asked twice at once. */
  #every(name: string, ms: number, work: () => Promise<void>): void {
    const cancel = this.#context.clock.after(ms, () => {
      void work()
        .catch((thrown: unknown) => {
          this.#context.log.warn(
            { error: toError(thrown), work: name },
            'housekeeping failed; the next turn tries again',
          )
        })
        .finally(() => {
          if (!this.#stopped) this.#every(name, ms, work)
        })
    })
    this.#timers.set(name, cancel)
  }

  /** The heartbeat that operators see; the lease's own is for the other runners. */
  #beat(): void {
    const { lease, live, log } = this.#context
    logBeat(log, { runnerId: lease.id, held: live.size, leaseMarginMs: lease.takeMarginMs() })
    for (const late of lateOf(this.#context)) logLate(log, late)
  }

  /** A session of which something begins to wait for too long, or does no more, tells so. */
  #queueWaiting(): void {
    const { live, view, reporter, clock, queue } = this.#context
    const [nowMs, monotonicMs] = [clock.nowMs(), clock.monotonicMs()]
    for (const [key, one] of live) {
      const session = view.sessions.get(key)
      if (!session) continue
      const waiting = [...one.waiting(), ...reporter.waiting(key)]
      const now = waitingOf(one, session, { nowMs, monotonicMs, waiting })
      if (!isDeepStrictEqual(now, session.status?.waiting ?? [])) queue.add(key)
    }
  }

  /** Looks at the other runners, and again in time; sessions whose owner is gone are queued, the most recently active first. */
  async look(): Promise<void> {
    try {
      const { runners, preparations } = this.#context
      const before = runners.membership
      await runners.refresh()
      if (runners.membership !== before) this.#context.passes.sweep()
      preparations.look()
      this.#lookAgain(runners.nextLookInMs())
    } catch (error) {
      this.#context.log.warn({ error: toError(error) }, 'the other runners could not be looked at')
      this.#lookAgain(FAILED_LOOK_MS)
    }
  }

  /** What was seen decides when to look next, also when it was a watch that asked for the look. */
  #lookAgain(inMs: number): void {
    if (this.#stopped) return
    const waitMs = Math.min(inMs, this.#settings.lookEveryMs ?? Infinity)
    this.#timers.get('look')?.()
    const cancel = this.#context.clock.after(waitMs, () => void this.look())
    this.#timers.set('look', cancel)
  }

  /** The full pass: the truth, whatever the watches missed. */
  async resync(): Promise<void> {
    const { view, live, log, clock } = this.#context
    const startMs = clock.monotonicMs()
    try {
      const unread = await view.load((key) => this.#context.queue.add(key))
      if (unread > 0)
        log.warn({ sessions: unread }, 'sessions could not be read; the next full pass makes up for it')
      for (const session of live.values()) session.pokeOutbox()
      const queued = this.#context.passes.sweep()
      log.debug(
        { sessions: view.sessions.size, queued, durationMs: Math.round(clock.monotonicMs() - startMs) },
        'full pass',
      )
    } catch (error) {
      log.warn({ error: toError(error) }, 'full pass failed; the next one makes up for it')
    }
  }

  /** Records of runners that were killed would be read at every look, for ever. */
  async #forgetDead(): Promise<void> {
    const { runners, lease, stores, log } = this.#context
    if (!this.#settings.mayAct() || !lease.isGood) return
    for (const runnerId of runners.longDead) {
      try {
        await stores.runners.remove(runnerId)
        log.info({ runnerId }, 'record of a dead runner removed')
      } catch (error) {
        log.warn({ error: toError(error), runnerId }, 'record of a dead runner could not be removed')
      }
    }
  }

  /** Working copies of sessions that are in no record any more, wherever they were removed. */
  async #dropCopies(): Promise<void> {
    const { view, workingCopies, live } = this.#context
    if (!this.#settings.mayAct()) return
    for (const key of await workingCopies.keys())
      if (!view.sessions.has(key) && !live.has(key)) await workingCopies.drop(key)
  }

  /** Ownership is sticky: what should live elsewhere goes there one by one, the quiet ones first. */
  async #rebalance(): Promise<void> {
    const { live, view, runners, lease, clock, log } = this.#context
    if (!this.#settings.mayAct() || !lease.isGood) return
    const sessions = [...live.values()].map(({ key, connection, identity, lastActivityAt }) => ({
      key,
      connected: connection.is === 'open',
      authenticatedAt: identity.authenticatedAt,
      lastActivityAt,
    }))
    for (const moved of this.#movedAt.keys()) if (!view.sessions.has(moved)) this.#movedAt.delete(moved)
    const key = nextToMove(sessions, runners.candidates(), lease.id, this.#movedAt, clock.nowMs())
    if (!key) return
    this.#movedAt.set(key, clock.nowMs())
    log.info({ sessionId: key }, 'session moves to the runner that should have it')
    await this.#context.handOver.give(key)
  }
}
