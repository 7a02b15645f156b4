import { toError } from '#shared/errors.ts'
import { within } from '#shared/within.ts'
import { Hints } from './loop/hints.ts'
import { Housekeeping } from './loop/housekeeping.ts'
import { KeyCare } from './loop/key-care.ts'
import { lateOf, type Late } from './loop/late.ts'
import { logLeaseLost } from './loop/log-lines.ts'
import { Passes } from './loop/passes.ts'
import { stepsOf } from './loop/steps.ts'
import { dropSession } from './loop/steps/ownership.ts'
import { Draining } from './ownership/draining.ts'
import { HandOver, type DrainSummary } from './ownership/hand-over.ts'
import { restorableOf } from './pacing/boot-report.ts'
import type { RunnerDeps } from './runner-deps.ts'
import { Watchdog } from './session/watchdog.ts'
import { wire, type Wiring } from './wiring.ts'

/**
 * Cloud Run kills ten seconds after SIGTERM. By then the process has ended, whatever a store, a pass or a connection is
 * doing; the drain takes eight of them (ownership/draining.ts).
 */
const STOP_WITHIN_MS = 9_500
/** Of a pass that has not ended by then nothing is to be expected. */
const PASSES_WITHIN_MS = 500
/** A read of one record; else a version may be refused once. */
const VERSION_WITHIN_MS = 2_000
/** What is not written by then never is. */
const REPORT_WITHIN_MS = 1_500

/**
 * Holds sockets and makes the world as it is wanted: observe → plan → act → tell, per session, level-triggered, one step a
 * pass. Watches, socket events and timers only say which session to look at; what to do follows from what is there.
 */
export class Runner {
  readonly #reconcile: boolean
  readonly #asksVersion: boolean
  readonly #context: Wiring
  readonly #watchdog: Watchdog
  readonly #passes: Passes
  readonly #housekeeping: Housekeeping
  readonly #hints: Hints
  readonly #draining: Draining
  #stopped = false

  constructor(deps: RunnerDeps) {
    const { stores, clock, log, settings } = deps
    this.#reconcile = settings.reconcile
    this.#asksVersion = deps.clientVersion !== undefined && settings.reconcile
    this.#context = wire(deps, {
      run: (key) => this.#passes.run(key),
      isDraining: () => this.#draining.isUnderWay,
    })
    const { lease, live, view, runners, claims, queue } = this.#context
    const handOver = new HandOver({
      clock,
      log,
      sessions: stores.sessions,
      live,
      epochOf: (key) => view.owners.get(key)?.epoch ?? 0,
      hasSuccessor: () => runners.candidates().some((candidate) => candidate.id !== lease.id),
      isClaiming: () => claims.underWay > 0,
      wake: (key) => queue.add(key),
      interrupt: (key) => live.get(key)?.state?.interrupt(),
    })
    this.#draining = new Draining(this.#context, {
      handOver,
      look: () => this.#housekeeping.look(),
      takenBack: () => this.#lookAtAll(),
      drained: () => deps.drained?.(),
    })
    this.#passes = new Passes(this.#context, stepsOf(this.#context), {
      reconcile: settings.reconcile,
      capacity: settings.capacity,
      isDraining: () => this.#draining.isUnderWay || lease.draining,
      isLeaving: (key) => handOver.isLeaving(key),
    })
    const keyCare = new KeyCare(this.#context, settings.rotateKeysAfterMs ?? 0)
    const parts = { ...this.#context, keyCare, passes: this.#passes, handOver }
    this.#housekeeping = new Housekeeping(parts, {
      lookEveryMs: settings.lookEveryMs,
      resyncEveryMs: settings.resyncEveryMs,
      rebalancePerMinute: settings.rebalancePerMinute,
      mayAct: () => settings.reconcile && !this.#draining.isUnderWay,
    })
    this.#hints = new Hints(this.#context, () => void this.#housekeeping.look())
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
    const { clock, log, lease, runners, view, queue, boot, version } = this.#context
    await lease.start(() => this.#leaseChanged())
    this.#hints.start()
    // What the fleet found out is to be known before the first connect; a store that is slow to say it holds up nobody.
    if (this.#asksVersion) await within(clock, VERSION_WITHIN_MS, version.look())
    const unread = await view.load((key) => queue.add(key))
    if (unread > 0)
      log.warn({ sessions: unread }, 'sessions could not be read; the full pass makes up for it')
    // After the owners are read: a look says nothing about an owner that is learned later.
    await runners.refresh()
    // Not before: who does not know the others prefers itself for everything. Until here only watches said which keys to look at.
    queue.begin()
    log.info(
      { runnerId: this.id, sessions: view.sessions.size, reconcile: this.#reconcile },
      'runner started',
    )
    const restorable = restorableOf(view.sessions)
    boot.expect(restorable, clock.monotonicMs())
    for (const key of restorable) queue.add(key)
    this.#passes.sweep()
    this.#watchdog.start()
    this.#housekeeping.start()
  }

  /** Stops claiming and hands every session over, in parallel. Resolves when all are released; a repeat waits for the same. */
  drain(): Promise<DrainSummary> {
    return this.#draining.begin()
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
    this.#draining.over()
    this.#housekeeping.stop()
    this.#watchdog.stop()
    // Without our lease others may take them at once: no connection of ours must be left by then.
    for (const session of live.values()) session.drop('the runner ends')
    live.clear()
    await within(clock, atMost(STOP_WITHIN_MS), this.#hints.close())
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

  #leaseChanged(): void {
    const { lease, log, live, queue, gate } = this.#context
    if (!lease.isGood) {
      logLeaseLost(log, live.size)
      gate.interrupt(this.#draining.isUnderWay)
      // At once: a pass under way may wait for the store for longer than others wait for us.
      for (const key of live.keys()) void dropSession(this.#context, key)
    } else {
      // What was dropped may be somebody else's by now; nothing is ours before it was claimed anew.
      this.#lookAtAll()
    }
    for (const key of live.keys()) queue.add(key)
    this.#draining.heed()
  }

  #lookAtAll(): void {
    this.#passes.sweep()
    void this.#housekeeping.resync()
  }
}
