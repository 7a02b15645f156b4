import type { Clock } from '#shared/clock.ts'
import { CodedError, toError } from '#shared/errors.ts'
import { parseRunnerId, splitKey, type SessionKey, type SessionName } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Random } from '#shared/random.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Watch } from '#shared/store/watch.ts'
import type { TransferSettings } from '#shared/transfer-settings.ts'
import { within } from '#shared/within.ts'
import { Gate } from './gate/gate.ts'
import { BootReport } from './pacing/boot-report.ts'
import { FleetBreaker } from './pacing/breaker.ts'
import { Housekeeping, type HousekeepingNeeds } from './loop/housekeeping.ts'
import { KeyCare } from './loop/key-care.ts'
import { KeyQueue } from './loop/key-queue.ts'
import { lateOf, type Late } from './loop/late.ts'
import { logLeaseLost } from './loop/log-lines.ts'
import { LoopLag } from './pacing/loop-lag.ts'
import { Claims } from './ownership/claims.ts'
import { expectedOf, Preparations } from './ownership/preparations.ts'
import { RunnerLease, type LeaseTimes } from './ownership/lease.ts'
import { HandOver, type DrainSummary } from './ownership/hand-over.ts'
import { RunnersSeen } from './ownership/runners-seen.ts'
import { Pacer } from './pacing/pacer.ts'
import { FAILED_PASS_MS, Passes, type PassNeeds } from './loop/passes.ts'
import { LateLogins } from './session/late-logins.ts'
import type { LiveSession } from './session/live-session.ts'
import { prepareState } from './state/prepared.ts'
import { dataKeys, type DataKeys } from './state/data-keys.ts'
import { fileWorkingCopies, type WorkingCopies } from './state/working-copy.ts'
import { stepsOf } from './loop/steps.ts'
import { dropSession } from './loop/steps/ownership.ts'
import { Reporter } from './loop/reporter.ts'
import { SlowLane } from './loop/slow-lane.ts'
import { View } from './loop/view.ts'
import { Watchdog, type WatchdogTimes } from './session/watchdog.ts'
import type { Dropped } from './whatsapp/dropped.ts'
import type { OpenSocket, UnlinkDevice } from './whatsapp/socket.ts'

export interface RunnerSettings {
  name: string
  version: string
  workDir: string
  lease: LeaseTimes
  watchdog: WatchdogTimes
  resyncEveryMs: number
  /** Where looking at the other runners costs nothing and may prove a death; elsewhere their leases decide when to. */
  lookEveryMs?: number | undefined
  connectsPerSecond: number
  connectingMax: number
  capacity: number
  /** How many sessions a minute go to the runner that should have them; 0 for none. */
  rebalancePerMinute: number
  /** How old the newest data key of a session may become; without it, or with 0, keys are rotated on request only. */
  rotateKeysAfterMs?: number
  /** Off: read and report, touch nothing. */
  reconcile: boolean
}

export interface RunnerDeps {
  stores: Stores
  /** Seals and opens messages and events. */
  bodies: Bodies
  clock: Clock
  random: Random
  log: Log
  openSocket: OpenSocket
  unlinkDevice: UnlinkDevice
  settings: RunnerSettings
  /** Counts what strangers send and no session takes. */
  dropped?: Dropped
  /** Left out where no session is imported or exported. */
  transfer?: TransferSettings
  /** All was handed over because somebody asked for it through the store; the process is to end. */
  drained?: () => void
  /** Exchanged by simulations only: what a surviving disk holds, and the end of a turn of the event loop. */
  workingCopies?: WorkingCopies
  soon?: (task: () => void) => void
}

/** Where nothing is imported or exported. */
const NOTHING_IN_OR_OUT: TransferSettings = {
  recipient: () => Promise.reject(new CodedError('config', 'this runner takes nothing in')),
  identities: () => Promise.reject(new CodedError('config', 'this runner takes nothing in')),
  exports: { to: 'recipients', recipients: [] },
}

/** Passes at once. A pass mostly waits for the store or the network. */
const PASSES_AT_ONCE = 64
/** Many times what a pass takes while the store is well; one that takes longer goes on without counting. */
const PASS_COUNTS_FOR_MS = 1_000
/** Nobody waits for snapshots; each is a state in memory once more, and the uplink is for messages. */
const SNAPSHOTS_AT_ONCE = 4
/** Five tries of an upload that fails take less (shared/google/storage-retry.ts); what takes longer hangs. */
const SNAPSHOT_WITHIN_MS = 120_000
/** Nobody waits for devices to be unlinked, and sessions that come up need the logins. */
const UNLINKED_AT_ONCE = 2
/** Each is a connection of its own for a second or so, and somebody waits for the session to be gone. */
const REMOVED_AT_ONCE = 8
/** Reading the archive, and a connection that gives up by itself after 55 s (runner/whatsapp/unlink-device.ts). */
const UNLINK_WITHIN_MS = 120_000
/**
 * Cloud Run kills ten seconds after SIGTERM. What has not left by the first has no time left to; by the last the process has
 * ended, whatever a store, a pass or a connection is doing.
 */
const DRAIN_WITHIN_MS = 8_000
const STOP_WITHIN_MS = 9_500
/** Telling the others that this runner drains makes the hand-over smooth; a store that hangs must not take its time. */
const ANNOUNCE_WITHIN_MS = 1_500
/** Of a pass that has not ended by then nothing is to be expected. */
const PASSES_WITHIN_MS = 500
/** What is not written by then never is. */
const REPORT_WITHIN_MS = 1_500

/** What is wired together here. Each step, and what runs them, names the few parts of it that it needs. */
type Wiring = Parameters<typeof stepsOf>[0] &
  PassNeeds &
  Omit<HousekeepingNeeds, 'keyCare' | 'passes' | 'handOver'> & {
    stores: Stores
    lease: RunnerLease
    queue: KeyQueue<SessionKey>
    reporter: Reporter
    boot: BootReport
    workingCopies: WorkingCopies
    view: View
    snapshots: SlowLane
    unlinking: SlowLane
    unlinkingRemoved: SlowLane
    gate: Gate
    dataKeys: DataKeys
  }

/**
 * Holds sockets and makes the world as it is wanted: observe → plan → act → tell, per session, level-triggered, one step a
 * pass. Watches, socket events and timers only say which session to look at; what to do follows from what is there.
 */
export class Runner {
  readonly #deps: RunnerDeps
  readonly #context: Wiring
  readonly #watchdog: Watchdog
  readonly #passes: Passes
  readonly #housekeeping: Housekeeping
  readonly #handOver: HandOver
  readonly #watches: Watch[] = []
  #draining: Promise<DrainSummary> | undefined
  #isDraining = false
  /** The drain was begun by this process itself, so that nobody can take it back. */
  #isEnding = false
  #stopped = false

  constructor(deps: RunnerDeps) {
    const { stores, clock, random, log, settings } = deps
    this.#deps = deps
    // Unique for every start: a record of an earlier life is somebody else's.
    const id = parseRunnerId(`${settings.name}.${random.id().slice(0, 6)}`)
    const live = new Map<SessionKey, LiveSession>()
    const { version, capacity } = settings
    const facts = { capacity, version, held: () => live.size }
    const lease = new RunnerLease({
      store: stores.runners,
      clock,
      random,
      log,
      id,
      times: settings.lease,
      facts,
    })
    const queue = new KeyQueue<SessionKey>({
      run: (key) => this.#passes.run(key),
      failed: (key, error) => {
        log.error({ error, sessionId: key }, 'pass failed')
        queue.addAt(key, clock.monotonicMs() + FAILED_PASS_MS)
      },
      clock,
      concurrency: PASSES_AT_ONCE,
      placeForMs: PASS_COUNTS_FOR_MS,
      tenantOf: (key) => splitKey(key).tenant,
      waits: true,
    })
    const workingCopies = deps.workingCopies ?? fileWorkingCopies(settings.workDir, log)
    const keys = dataKeys({ stores, clock, random })
    const soon = deps.soon ?? ((task: () => void): void => void setImmediate(task))
    const claims = new Claims(lease)
    const lateLogins = new LateLogins()
    const runners = new RunnersSeen({ store: stores.runners, clock, me: id, times: settings.lease })
    const view = new View(stores, clock)
    const reporter = new Reporter({
      stores,
      clock,
      random,
      log,
      me: id,
      fenced: (key) => queue.add(key),
      isOver: (key) => view.sessions.get(key)?.want.deleting !== undefined,
    })
    const lane = (name: string, atOnce: number, withinMs: number): SlowLane =>
      new SlowLane({
        name,
        clock,
        log,
        dice: () => random.next(),
        atOnce,
        withinMs,
        mayWork: () => !this.#isDraining && lease.isGood,
        wake: (key) => queue.add(key),
      })
    this.#context = {
      stores,
      clock,
      random,
      log,
      lease,
      claims,
      runners,
      view,
      preparations: new Preparations({
        clock,
        log,
        mayTake: () =>
          settings.reconcile && !this.#isDraining && lease.isGood && live.size < settings.capacity,
        expected: () => expectedOf(view.sessions, view.owners, runners.leaving, runners.candidates(), id),
        ownerOf: (key) => view.owners.get(key),
        prepare: (key) => prepareState({ stores, dataKeys: keys, log }, key),
      }),
      live,
      dataKeys: keys,
      workingCopies,
      queue,
      pacer: new Pacer({
        perSecond: settings.connectsPerSecond,
        atOnceMax: settings.connectingMax,
        tenantOf: (key) => splitKey(key).tenant,
      }),
      breaker: new FleetBreaker(() => {
        for (const key of live.keys()) queue.add(key)
      }),
      lag: new LoopLag(),
      reporter,
      boot: new BootReport(log, clock.monotonicMs()),
      unlinkDevice: deps.unlinkDevice,
      gate: new Gate(clock, (key) => queue.add(key)),
      transfer: deps.transfer ?? NOTHING_IN_OR_OUT,
      snapshots: lane('snapshot', SNAPSHOTS_AT_ONCE, SNAPSHOT_WITHIN_MS),
      unlinking: lane('unlink', UNLINKED_AT_ONCE, UNLINK_WITHIN_MS),
      unlinkingRemoved: lane('unlink_removed', REMOVED_AT_ONCE, UNLINK_WITHIN_MS),
      lateLogins,
      sessionDeps: {
        stores,
        bodies: deps.bodies,
        state: { stores, dataKeys: keys, workingCopies, clock, random, log, soon },
        openSocket: deps.openSocket,
        mayWrite: () => lease.isGood,
        clock,
        log,
        dice: () => random.next(),
        lateLogins,
        dropped: deps.dropped ?? (() => undefined),
        wake: (key) => queue.add(key),
        background: (key, work) => reporter.background(key, work),
        event: (key, event) => reporter.event(key, event),
      },
    }
    const keyCare = new KeyCare(this.#context, settings.rotateKeysAfterMs ?? 0)
    this.#handOver = new HandOver({
      clock,
      log,
      sessions: stores.sessions,
      live,
      epochOf: (key) => view.owners.get(key)?.epoch ?? 0,
      hasSuccessor: () => runners.candidates().some((candidate) => candidate.id !== id),
      isClaiming: () => claims.underWay > 0,
      wake: (key) => queue.add(key),
      interrupt: (key) => live.get(key)?.state?.interrupt(),
    })
    this.#passes = new Passes(this.#context, stepsOf(this.#context), {
      reconcile: settings.reconcile,
      capacity,
      isDraining: () => this.#isDraining || lease.draining,
      isLeaving: (key) => this.#handOver.isLeaving(key),
    })
    const parts = { ...this.#context, keyCare, passes: this.#passes, handOver: this.#handOver }
    this.#housekeeping = new Housekeeping(parts, {
      lookEveryMs: settings.lookEveryMs,
      resyncEveryMs: settings.resyncEveryMs,
      rebalancePerMinute: settings.rebalancePerMinute,
      mayAct: () => settings.reconcile && !this.#isDraining,
    })
    this.#watchdog = new Watchdog({ clock, log, live, times: settings.watchdog })
  }

  get id(): string {
    return this.#context.lease.id
  }

  get held(): number {
    return this.#context.live.size
  }

  /** What has waited for longer than a minute, over all its sessions. */
  get late(): readonly Late[] {
    return lateOf(this.#context)
  }

  /** Renews the lease, reads everything, and begins. Resolves when the first passes are queued. */
  async start(): Promise<void> {
    const { log, lease, runners, view, stores, queue, boot, clock } = this.#context
    await lease.start(() => this.#leaseChanged())
    this.#watches.push(
      stores.sessions.watch((name) => void this.#hintName(name)),
      stores.removals.watch((key) => void this.#hint(key, () => view.refreshSession(key))),
      stores.owners.watch((key, owner) => void this.#hint(key, () => view.hearOwner(key, owner))),
      stores.jobs.watch((key) => void this.#hint(key, () => view.refreshJobs(key))),
      stores.outbox.watch((key, message) => this.#context.live.get(key)?.pokeOutbox(message)),
      stores.runners.watch(() => void this.#housekeeping.look()),
    )
    const unread = await view.load((key) => queue.add(key))
    if (unread > 0)
      log.warn({ sessions: unread }, 'sessions could not be read; the full pass makes up for it')
    // After the owners are read: a look says nothing about an owner that is learned later.
    await runners.refresh()
    // Not before: who does not know the others prefers itself for everything. Until here only watches said which keys to look at.
    queue.begin()
    log.info(
      { runnerId: this.id, sessions: view.sessions.size, reconcile: this.#deps.settings.reconcile },
      'runner started',
    )
    const restorable = [...view.sessions.entries()]
      .filter(
        ([, session]) =>
          session.want.state === 'running' &&
          !session.want.deleting &&
          (session.status?.authenticatedAt !== undefined || session.status?.phase === 'failed') &&
          session.status.phase !== 'logged_out',
      )
      .toSorted(([, a], [, b]) => (b.status?.lastActivityAt ?? 0) - (a.status?.lastActivityAt ?? 0))
      .map(([key]) => key)
    boot.expect(restorable, clock.monotonicMs())
    for (const key of restorable) queue.add(key)
    this.#passes.sweep()
    this.#watchdog.start()
    this.#housekeeping.start()
  }

  /** Stops claiming and hands every session over, in parallel. Resolves when all are released; a repeat waits for the same. */
  drain(): Promise<DrainSummary> {
    const isUnderWay = this.#draining !== undefined
    this.#isEnding = true
    this.#draining ??= this.#drain()
    // One that was asked for is under way: from here on it is our own, and can't be taken back.
    if (isUnderWay && !this.#stopped) void this.#context.lease.drain()
    return this.#draining
  }

  /**
   * Drains, then ends everything. Resolves in less than ten seconds, whatever hangs; what could not be handed over in order is
   * dropped. Calling it twice is harmless.
   */
  async stop(): Promise<DrainSummary> {
    const { clock, live, log, queue, reporter, workingCopies, lease } = this.#context
    const endMs = clock.monotonicMs() + STOP_WITHIN_MS
    const atMost = (ms: number): number => Math.max(0, Math.min(ms, endMs - clock.monotonicMs()))
    const summary = await this.drain()
    if (this.#stopped) return summary
    this.#stopped = true
    this.#housekeeping.stop()
    this.#watchdog.stop()
    // Without our lease others may take them at once: no connection of ours must be left by then.
    for (const session of live.values()) session.drop('the runner ends')
    live.clear()
    await within(clock, atMost(STOP_WITHIN_MS), Promise.all(this.#watches.map((watch) => watch.close())))
    const hanging = await queue.close(atMost(PASSES_WITHIN_MS))
    if (hanging.length > 0)
      log.warn({ sessions: hanging.length }, 'passes hang; the runner ends without them')
    await reporter.close(atMost(REPORT_WITHIN_MS))
    await within(clock, atMost(STOP_WITHIN_MS), workingCopies.settle())
    const ending = lease
      .end()
      .catch((error: unknown) => log.warn({ error: toError(error) }, 'lease was not removed'))
    await within(clock, atMost(STOP_WITHIN_MS), ending)
    return summary
  }

  async #drain(): Promise<DrainSummary> {
    const { lease, live, log, clock, preparations, snapshots, unlinking, unlinkingRemoved } = this.#context
    const endMs = clock.monotonicMs() + DRAIN_WITHIN_MS
    log.info({ sessions: live.size }, 'draining')
    this.#isDraining = true
    this.#context.gate.interrupt(true)
    preparations.look()
    for (const lane of [snapshots, unlinking, unlinkingRemoved]) lane.abort()
    // Who came up a moment ago is a successor too: not knowing it would let all sessions go at once.
    const announced = Promise.all([this.#isEnding ? lease.drain() : undefined, this.#housekeeping.look()])
    await within(clock, ANNOUNCE_WITHIN_MS, announced)
    const mayGoOn = (): boolean => lease.isGood && (this.#isEnding || lease.draining)
    const summary = await this.#handOver.drain(mayGoOn, endMs - clock.monotonicMs())
    log.info(summary, 'drained')
    return summary
  }

  /** Somebody asked for it through the store: afterwards the process ends, unless the drain is taken back while it lasts. */
  async #drainAsAsked(): Promise<void> {
    const { lease, log } = this.#context
    this.#draining = this.#drain()
    await this.#draining
    if (this.#isEnding) return
    if (lease.draining) {
      log.warn(
        { runnerId: this.id },
        'drained as asked; the process ends, and its supervisor is to start a new one',
      )
      this.#deps.drained?.()
      return
    }
    this.#draining = undefined
    this.#isDraining = false
    this.#handOver.stay()
    this.#context.gate.interrupt(false)
    log.info({ runnerId: this.id, sessions: this.held }, 'the drain was taken back')
    this.#passes.sweep()
    void this.#housekeeping.resync()
    if (lease.draining) void this.#drainAsAsked()
  }

  /** Which keys to look at is known once it is known whose the name is. */
  async #hintName(name: SessionName): Promise<void> {
    try {
      for (const key of await this.#context.view.refreshName(name)) this.#context.queue.add(key)
    } catch (error) {
      this.#context.log.debug({ error: toError(error) }, 'a hint could not be followed; the full pass will')
    }
  }

  async #hint(key: SessionKey, refresh: () => Promise<void>): Promise<void> {
    try {
      await refresh()
    } catch (error) {
      this.#context.log.debug(
        { error: toError(error), sessionId: key },
        'a hint could not be followed; the full pass will',
      )
    }
    this.#context.queue.add(key)
  }

  #leaseChanged(): void {
    const { lease, log, live, queue } = this.#context
    if (!lease.isGood) {
      logLeaseLost(log, live.size)
      this.#context.gate.interrupt(this.#isDraining)
      // At once: a pass under way may wait for the store for longer than others wait for us.
      for (const key of live.keys()) void dropSession(this.#context, key)
    } else {
      // What was dropped may be somebody else's by now; nothing is ours before it was claimed anew.
      this.#passes.sweep()
      void this.#housekeeping.resync()
    }
    for (const key of live.keys()) queue.add(key)
    if (lease.draining && !this.#isDraining) void this.#drainAsAsked()
  }
}
