import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import { act, stepFailed } from './act.ts'
import type { RunnerContext } from './context.ts'
import { observe, personSpoke } from './observe.ts'
import { plan, type Step } from './plan.ts'
import { preferredRunner } from '../ownership/spread.ts'
import { leave } from './steps/ownership.ts'
import { unlinkSuperseded } from './steps/unlink-superseded.ts'
import { settleVerdict } from './steps/verdict.ts'
import { reportStatus } from './report-status.ts'

/** How long the runner that is not preferred leaves an unowned session to the one that is. */
const GRACE_MS = 3_000
/** How long one whose event loop was held up leaves it to any other: longer than those leave it to the one that is preferred. */
const HELD_UP_GRACE_MS = 2 * GRACE_MS
/** A pass whose step failed is tried again after this. */
export const FAILED_PASS_MS = 1_000

export interface PassRules {
  reconcile: boolean
  capacity: number
  isDraining: () => boolean
  /** It is this session's turn to go to another runner. */
  isLeaving: (key: SessionKey) => boolean
}

/** The passes of one runner: observe → plan → act → tell, for one session at a time. */
export class Passes {
  readonly #context: RunnerContext
  readonly #rules: PassRules
  readonly #unownedSince = new Map<SessionKey, number>()

  constructor(context: RunnerContext, rules: PassRules) {
    this.#context = context
    this.#rules = rules
  }

  /** One pass: look, decide, do one thing, tell; then look again until there is nothing to do. */
  async run(key: SessionKey): Promise<void> {
    const { view, live, queue, clock, log, boot } = this.#context
    const session = view.sessions.get(key)
    if (!session) return leave(this.#context, key)
    this.#noteConnection(key)
    this.#heedPerson(key, session)
    await settleVerdict(this.#context, key, session)
    const step = this.#decide(key)
    if (!step) return
    if (step.do === 'rest') {
      reportStatus(this.#context, key)
      if (step.why === 'not_ours') boot.elsewhere(key)
      if (step.why === 'blocked' && session.status)
        boot.note(key, session.status.phase, session.status.reason, clock.monotonicMs())
      if (step.untilMs !== undefined) queue.addAt(key, step.untilMs)
      unlinkSuperseded(this.#context, key)
      await this.#maintain(key)
      return
    }
    if (!this.#rules.reconcile && !this.#rules.isDraining()) {
      log.info({ sessionId: key, step: step.do }, 'would act, but reconciling is off')
      return
    }
    // It may wait for the journal for a minute; what is shown until then must not be what was before it broke.
    if (step.do === 'rehydrate') reportStatus(this.#context, key)
    const startMs = clock.monotonicMs()
    try {
      await act(this.#context, key, session, step)
    } catch (error) {
      stepFailed(this.#context, key, step, error)
      // What it shows may not be true any more, and what its journal waits for belongs in there.
      reportStatus(this.#context, key)
      queue.addAt(key, clock.monotonicMs() + FAILED_PASS_MS)
      return
    }
    const now = view.sessions.get(key)
    log.info(
      {
        sessionId: key,
        runnerId: this.#context.lease.id,
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
    reportStatus(this.#context, key)
    // An open that has to wait its turn asked for its own timer.
    if (step.do !== 'open' || live.get(key)?.socketIs !== 'none') queue.add(key)
  }

  /** A restart or resume that came while the session waited for its next try: it waits no longer. */
  #heedPerson(key: SessionKey, session: Session): void {
    const { live, breaker } = this.#context
    const waiting = live.get(key)
    if (!waiting || !personSpoke(session)) return
    waiting.attempts = 0
    waiting.retryAtMs = 0
    breaker.reset()
  }

  /** A connection that came up, or that waits for a person, makes room for the next one. */
  #noteConnection(key: SessionKey): void {
    const { live, pacer, breaker } = this.#context
    const session = live.get(key)
    if (!session || (session.socketIs === 'connecting' && !session.shown?.expiresAt)) return
    if (session.connectedSinceMs !== undefined) breaker.opened(session.connectedSinceMs)
    if (session.socketIs !== 'none') pacer.done(key)
  }

  #decide(key: SessionKey): Step | undefined {
    const { view, live, lease, claims, runners, clock, breaker } = this.#context
    const session = view.sessions.get(key)
    if (!session) return undefined
    const owner = claims.effectiveOwner(key, view.owners.get(key))
    const monotonicMs = clock.monotonicMs()
    const ownerAlive = owner?.runnerId === lease.id || runners.isOwned(owner, view.learnedMs(key))
    // The grace begins anew whenever it is set free.
    if (ownerAlive) this.#unownedSince.delete(key)
    const { want, have } = observe({
      key,
      session,
      owner,
      jobs: view.jobs.get(key) ?? [],
      live: live.get(key),
      lease: lease.isGood ? 'good' : 'lost',
      draining: this.#rules.isDraining(),
      leaving: this.#rules.isLeaving(key),
      me: lease.id,
      ownerAlive,
      unreleased: claims.isLeftOver(key, view.owners.get(key)),
      claimAtMs:
        ownerAlive || isIdle(session, view.jobs.has(key)) ? Infinity : this.#claimAt(key, monotonicMs),
      breakerUntilMs: breaker.stoppedUntilMs,
      nowMs: clock.nowMs(),
      monotonicMs,
      unlinking: this.#context.unlinking.has(key),
    })
    return plan(want, have, monotonicMs)
  }

  /** The preferred runner claims at once; the others leave it a moment, and nobody takes more than it can hold. */
  #claimAt(key: SessionKey, monotonicMs: number): number {
    const { runners, lease, live, lag } = this.#context
    // What was just given away is not taken back: its next owner may need a moment.
    if (live.size >= this.#rules.capacity || this.#rules.isLeaving(key)) return monotonicMs + FAILED_PASS_MS
    const since = this.#unownedSince.get(key) ?? monotonicMs
    this.#unownedSince.set(key, since)
    const candidates = runners.candidates()
    const hasOthers = candidates.some(({ id }) => id !== lease.id)
    if (hasOthers && lag.isHeldUp(monotonicMs)) return since + HELD_UP_GRACE_MS
    const preferred = preferredRunner(key, candidates)
    return preferred === undefined || preferred.id === lease.id ? 0 : since + GRACE_MS
  }

  /** What an owned session needs from time to time: a snapshot when one is due. */
  async #maintain(key: SessionKey): Promise<void> {
    const { live, clock, reporter } = this.#context
    const state = live.get(key)?.state
    const due = state?.snapshotDue(clock.nowMs())
    if (!state || !due) return
    const record = await state.snapshot(due)
    reporter.event(key, {
      kind: 'snapshot',
      why: due,
      epoch: state.epoch,
      detail: { seq: record.seq, bytes: record.bytes },
    })
  }

  /** Queues every session that has something to do. Answers how many. */
  sweep(): number {
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
      if (step.do === 'rest' && step.why === 'as_wanted') {
        // A write that was given up may have landed late, on top of a newer status.
        reportStatus(this.#context, key)
        continue
      }
      queue.add(key)
      queued++
    }
    return queued
  }
}

/** Nothing is to be done for it, whoever owns it. */
function isIdle({ want, status }: Session, hasJobs: boolean): boolean {
  return (
    want.state === 'stopped' &&
    !hasJobs &&
    want.deleting === undefined &&
    status?.waiting === undefined &&
    status?.observedGeneration === want.generation
  )
}
