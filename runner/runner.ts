import type { Clock } from '#shared/clock.ts'
import { toError } from '#shared/errors.ts'
import { parseRunnerId, type SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { Random } from '#shared/random.ts'
import type { Session } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Watch } from '#shared/store/watch.ts'
import { act, stepFailed } from './act.ts'
import { BootReport } from './boot-report.ts'
import { FleetBreaker } from './breaker.ts'
import type { RunnerContext } from './context.ts'
import { KeyQueue } from './key-queue.ts'
import { observe } from './observe.ts'
import { RunnerLease, type LeaseTimes } from './ownership/lease.ts'
import { RunnersSeen } from './ownership/runners-seen.ts'
import { Pacer } from './pacer.ts'
import { plan, type Step } from './plan.ts'
import { preferredRunner } from './spread.ts'
import { dataKeys } from './state/data-keys.ts'
import { fileWorkingCopies } from './state/working-copy.ts'
import { dropSession } from './steps/ownership.ts'
import { settleVerdict } from './steps/verdict.ts'
import { Tell } from './tell.ts'
import { tellStatus } from './tell-status.ts'
import { View } from './view.ts'
import { Watchdog, type WatchdogTimes } from './watchdog.ts'
import type { OpenSocket } from './whatsapp/socket.ts'

export interface RunnerSettings {
  name: string
  version: string
  workDir: string
  lease: LeaseTimes
  watchdog: WatchdogTimes
  resyncEveryMs: number
  connectsPerSecond: number
  connectingMax: number
  capacity: number
  /** Off: read and report, touch nothing. */
  reconcile: boolean
}

export interface RunnerDeps {
  stores: Stores
  clock: Clock
  random: Random
  log: Log
  openSocket: OpenSocket
  settings: RunnerSettings
}

/** Passes at once. A pass mostly waits for the store or the network. */
const PASSES_AT_ONCE = 64
/** How long the runner that is not preferred leaves an unowned session to the one that is. */
const GRACE_MS = 3_000
/** Cloud Run kills ten seconds after SIGTERM; what is not written by then never is. */
const TELL_WITHIN_MS = 1_500
/** A pass whose step failed is tried again after this. */
const FAILED_PASS_MS = 1_000

/**
 * Holds sockets and makes the world as it is wanted: observe → plan → act → tell, per session, level-triggered, one step a
 * pass. Watches, socket events and timers only say which session to look at; what to do follows from what is there.
 */
export class Runner {
  readonly #deps: RunnerDeps
  readonly #context: RunnerContext
  readonly #watchdog: Watchdog
  readonly #watches: Watch[] = []
  readonly #unownedSince = new Map<SessionKey, number>()
  #draining: Promise<DrainSummary> | undefined
  #cancelResync: (() => void) | undefined
  #cancelLook: (() => void) | undefined
  #stopped = false

  constructor(deps: RunnerDeps) {
    const { stores, clock, random, log, settings } = deps
    this.#deps = deps
    // Unique for every start: a record of an earlier life is somebody else's.
    const id = parseRunnerId(`${settings.name}.${random.id().slice(0, 6)}`)
    const live: RunnerContext['live'] = new Map()
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
      run: (key) => this.#pass(key),
      failed: (key, error) => {
        log.error({ error, sessionId: key }, 'pass failed')
        queue.addAt(key, clock.monotonicMs() + FAILED_PASS_MS)
      },
      clock,
      concurrency: PASSES_AT_ONCE,
    })
    const workingCopies = fileWorkingCopies(settings.workDir, log)
    const keys = dataKeys({ stores, clock, random })
    const soon = (task: () => void): void => {
      setImmediate(task)
    }
    const out = new Tell({ stores, clock, random, log, me: id, fenced: (key) => queue.add(key) })
    this.#context = {
      stores,
      clock,
      random,
      log,
      lease,
      runners: new RunnersSeen({ store: stores.runners, clock, me: id }),
      view: new View(stores, clock),
      live,
      dataKeys: keys,
      workingCopies,
      queue,
      pacer: new Pacer({ perSecond: settings.connectsPerSecond, atOnceMax: settings.connectingMax }),
      breaker: new FleetBreaker(),
      tell: out,
      boot: new BootReport(log, clock.monotonicMs()),
      sessionDeps: {
        stores,
        state: { stores, dataKeys: keys, workingCopies, clock, random, log, soon },
        openSocket: deps.openSocket,
        clock,
        log,
        dice: () => random.next(),
        wake: (key) => queue.add(key),
        background: (work) => out.background(work),
        fleet: () => undefined,
      },
    }
    this.#watchdog = new Watchdog({ clock, log, live, times: settings.watchdog })
  }

  get id(): string {
    return this.#context.lease.id
  }

  get held(): number {
    return this.#context.live.size
  }

  /** Renews the lease, reads everything, and begins. Resolves when the first passes are queued. */
  async start(): Promise<void> {
    const { log, lease, runners, view, stores, queue, boot, clock } = this.#context
    await lease.start(() => this.#leaseChanged())
    await runners.refresh()
    this.#watches.push(
      stores.sessions.watch((key) => void this.#hint(key, () => view.refreshSession(key))),
      stores.owners.watch((key) => void this.#hint(key, () => view.refreshOwner(key))),
      stores.jobs.watch((key) => void this.#hint(key, () => view.refreshJobs(key))),
      stores.outbox.watch((key) => this.#context.live.get(key)?.pokeOutbox()),
      stores.runners.watch(() => void this.#look()),
    )
    await view.load()
    log.info(
      { runnerId: this.id, sessions: view.sessions.size, reconcile: this.#deps.settings.reconcile },
      'runner started',
    )
    const restorable = [...view.sessions.entries()]
      .filter(
        ([, session]) =>
          session.want.state === 'running' &&
          session.status?.authenticatedAt !== undefined &&
          session.status.phase !== 'logged_out',
      )
      .toSorted(([, a], [, b]) => (b.status?.lastActivityAt ?? 0) - (a.status?.lastActivityAt ?? 0))
      .map(([key]) => key)
    boot.expect(restorable, clock.monotonicMs())
    for (const key of restorable) queue.add(key)
    this.#sweepKeys()
    this.#watchdog.start()
    this.#resyncLater()
    this.#lookLater()
  }

  /** Stops claiming and hands every session over, in parallel. Resolves when all are released; a repeat waits for the same. */
  drain(): Promise<DrainSummary> {
    this.#draining ??= this.#drain()
    return this.#draining
  }

  /** Drains, then ends everything. Calling it twice is harmless. */
  async stop(): Promise<DrainSummary> {
    const summary = await this.drain()
    if (this.#stopped) return summary
    this.#stopped = true
    this.#cancelResync?.()
    this.#cancelLook?.()
    this.#watchdog.stop()
    await Promise.all(this.#watches.map((watch) => watch.close()))
    await this.#context.queue.close()
    await this.#context.tell.close(TELL_WITHIN_MS)
    await this.#context.workingCopies.settle()
    await this.#context.lease
      .end()
      .catch((error: unknown) => this.#context.log.warn({ error: toError(error) }, 'lease was not removed'))
    return summary
  }

  async #drain(): Promise<DrainSummary> {
    const { lease, queue, live, clock, log } = this.#context
    const startMs = clock.monotonicMs()
    const sessions = live.size
    log.info({ sessions }, 'draining')
    this.#isDraining = true
    for (const key of live.keys()) queue.add(key)
    await lease.drain()
    while (live.size > 0 && lease.isGood) {
      for (const key of live.keys()) queue.add(key)
      await queue.idle()
      if (live.size > 0) await clock.sleep(DRAIN_LOOK_MS)
    }
    const summary = { sessions, left: live.size, durationMs: Math.round(clock.monotonicMs() - startMs) }
    log.info(summary, 'drained')
    return summary
  }

  #isDraining = false

  /** One pass: look, decide, do one thing, tell; then look again until there is nothing to do. */
  async #pass(key: SessionKey): Promise<void> {
    const { view, live, queue, clock, log, boot } = this.#context
    const session = view.sessions.get(key)
    if (!session) {
      if (live.has(key)) await dropSession(this.#context, key)
      return
    }
    this.#noteConnection(key)
    await settleVerdict(this.#context, key, session)
    const step = this.#decide(key)
    if (!step) return
    if (step.do === 'rest') {
      tellStatus(this.#context, key)
      if (step.why === 'not_ours') boot.elsewhere(key)
      if (step.untilMs !== undefined) queue.addAt(key, step.untilMs)
      await this.#maintain(key)
      return
    }
    if (!this.#deps.settings.reconcile && !this.#isDraining) {
      log.info({ sessionId: key, step: step.do }, 'would act, but reconciling is off')
      return
    }
    const startMs = clock.monotonicMs()
    try {
      await act(this.#context, key, session, step)
    } catch (error) {
      stepFailed(this.#context, key, step, error)
      queue.addAt(key, clock.monotonicMs() + FAILED_PASS_MS)
      return
    }
    const now = view.sessions.get(key)
    log.info(
      {
        sessionId: key,
        runnerId: this.id,
        epoch: view.owners.get(key)?.epoch,
        generation: now?.want.generation,
        want: now?.want.state,
        have: now?.status?.phase,
        step: step.do,
        ...('why' in step ? { why: step.why } : {}),
        durationMs: Math.round(clock.monotonicMs() - startMs),
      },
      'step taken',
    )
    tellStatus(this.#context, key)
    // An open that has to wait its turn asked for its own timer.
    if (step.do !== 'open' || live.get(key)?.socketIs !== 'none') queue.add(key)
  }

  /** A connection that came up, or that waits for a person, makes room for the next one. */
  #noteConnection(key: SessionKey): void {
    const { live, pacer, breaker } = this.#context
    const session = live.get(key)
    if (!session || (session.socketIs === 'connecting' && !session.shown?.expiresAt)) return
    if (session.socketIs === 'open') breaker.reset()
    if (session.socketIs !== 'none') pacer.done(key)
  }

  #decide(key: SessionKey): Step | undefined {
    const { view, live, lease, runners, clock, breaker } = this.#context
    const session = view.sessions.get(key)
    if (!session) return undefined
    const owner = view.owners.get(key)
    const monotonicMs = clock.monotonicMs()
    const ownerAlive = owner?.runnerId === lease.id || runners.isOwned(owner, view.learnedMs(key))
    const { want, have } = observe({
      key,
      session,
      owner,
      jobs: view.jobs.get(key) ?? [],
      live: live.get(key),
      lease: lease.isGood ? 'good' : 'lost',
      draining: this.#isDraining || lease.draining,
      me: lease.id,
      ownerAlive,
      claimAtMs:
        ownerAlive || isIdle(session, view.jobs.has(key)) ? Infinity : this.#claimAt(key, monotonicMs),
      breakerUntilMs: breaker.stoppedUntilMs,
      nowMs: clock.nowMs(),
      monotonicMs,
    })
    return plan(want, have, monotonicMs)
  }

  /** The preferred runner claims at once; the others leave it a moment, and nobody takes more than it can hold. */
  #claimAt(key: SessionKey, monotonicMs: number): number {
    const { runners, lease, live } = this.#context
    if (live.size >= this.#deps.settings.capacity) return monotonicMs + FAILED_PASS_MS
    const since = this.#unownedSince.get(key) ?? monotonicMs
    this.#unownedSince.set(key, since)
    const preferred = preferredRunner(key, runners.takers())
    return preferred === undefined || preferred.id === lease.id ? 0 : since + GRACE_MS
  }

  /** What an owned session needs from time to time: a snapshot when one is due. */
  async #maintain(key: SessionKey): Promise<void> {
    const { live, clock, tell: out } = this.#context
    const state = live.get(key)?.state
    const due = state?.snapshotDue(clock.nowMs())
    if (!state || !due) return
    const record = await state.snapshot(due)
    out.event(key, {
      kind: 'snapshot',
      why: due,
      epoch: state.epoch,
      detail: { seq: record.seq, bytes: record.bytes },
    })
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
    if (!lease.isGood) log.error({ sessions: live.size }, 'lease lost; every socket is dropped')
    for (const key of live.keys()) queue.add(key)
    if (lease.draining && !this.#isDraining) void this.drain()
  }

  /** Looks at the other runners; sessions whose owner is gone are queued, the most recently active first. */
  async #look(): Promise<void> {
    try {
      const { runners } = this.#context
      const before = runners.picture
      await runners.refresh()
      if (runners.picture !== before) this.#sweepKeys()
    } catch (error) {
      this.#context.log.warn({ error: toError(error) }, 'the other runners could not be looked at')
    }
  }

  #lookLater(): void {
    const { clock, boot } = this.#context
    this.#cancelLook = clock.after(Math.min(this.#deps.settings.lease.renewEveryMs, LOOK_EVERY_MS), () => {
      boot.tick(clock.monotonicMs())
      void this.#look().finally(() => {
        if (!this.#stopped) this.#lookLater()
      })
    })
  }

  #resyncLater(): void {
    this.#cancelResync = this.#context.clock.after(this.#deps.settings.resyncEveryMs, () => {
      void this.#resync().finally(() => {
        if (!this.#stopped) this.#resyncLater()
      })
    })
  }

  /** The full pass: the truth, whatever the watches missed. */
  async #resync(): Promise<void> {
    const { view, live, log, clock } = this.#context
    const startMs = clock.monotonicMs()
    try {
      for (const key of await view.load()) this.#context.queue.add(key)
      for (const session of live.values()) session.pokeOutbox()
      const queued = this.#sweepKeys()
      log.debug(
        { sessions: view.sessions.size, queued, durationMs: Math.round(clock.monotonicMs() - startMs) },
        'full pass',
      )
    } catch (error) {
      log.warn({ error: toError(error) }, 'full pass failed; the next one makes up for it')
    }
  }

  /** Queues every session that has something to do. Answers how many. */
  #sweepKeys(): number {
    const { view, queue, live } = this.#context
    let queued = 0
    for (const key of view.sessions.keys()) {
      const step = this.#decide(key)
      if (!step || (step.do === 'rest' && !live.has(key))) {
        if (step?.do === 'rest' && step.untilMs !== undefined && step.why !== 'not_ours')
          queue.addAt(key, step.untilMs)
        if (step?.do === 'rest' && step.why === 'not_ours') this.#unownedSince.delete(key)
        continue
      }
      if (step.do === 'rest' && step.why === 'as_wanted') continue
      queue.add(key)
      queued++
    }
    return queued
  }
}

export interface DrainSummary {
  sessions: number
  /** Sessions that could not be handed over in order. */
  left: number
  durationMs: number
}

const DRAIN_LOOK_MS = 20
const LOOK_EVERY_MS = 1_000

/** Nothing is to be done for it, whoever owns it. */
function isIdle({ want, status }: Session, hasJobs: boolean): boolean {
  return (
    want.state === 'stopped' &&
    !hasJobs &&
    want.deleting === undefined &&
    status?.observedGeneration === want.generation
  )
}
