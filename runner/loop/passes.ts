import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Gate } from '../gate/gate.ts'
import type { Claims } from '../ownership/claims.ts'
import type { RunnerLease } from '../ownership/lease.ts'
import type { RunnersSeen } from '../ownership/runners-seen.ts'
import { preferredRunner } from '../ownership/spread.ts'
import type { BootReport } from '../pacing/boot-report.ts'
import type { FleetBreaker } from '../pacing/breaker.ts'
import type { LoopLag } from '../pacing/loop-lag.ts'
import type { Pacer } from '../pacing/pacer.ts'
import type { ClientVersions } from '../version/version.ts'
import type { KeyQueue } from './key-queue.ts'
import type { Basics, Sessions } from './needs.ts'
import { observe, personSpoke } from './observe.ts'
import { plan, type Outcome, type Step } from './plan.ts'
import { StepRate, type Outside } from './step-rate.ts'
import type { SlowLane } from './slow-lane.ts'
import type { View } from './view.ts'

/** How long the runner that is not preferred leaves an unowned session to the one that is. */
const GRACE_MS = 3_000
/** How long one whose event loop was held up leaves it to any other: longer than those leave it to the one that is preferred. */
const HELD_UP_GRACE_MS = 2 * GRACE_MS
/** A pass whose step failed is tried again after this. */
export const FAILED_PASS_MS = 1_000
/** Two that are faster than each other by turns must not keep the store busy; a hand-over's gap may well be longer than this. */
const LOST_CLAIM_MS = 100

/** How long the next step waits after one that ended so, at the least. */
const WAIT_MS: Record<Exclude<Outcome, 'not_yet'> | 'failed', number> = {
  taken: 0,
  lost: LOST_CLAIM_MS,
  failed: FAILED_PASS_MS,
}

export interface PassRules {
  reconcile: boolean
  capacity: number
  isDraining: () => boolean
  /** It is this session's turn to go to another runner. */
  isLeaving: (key: SessionKey) => boolean
}

/** What a pass does once it has decided; `steps.ts` wires them to what they need. */
export interface Steps {
  act: (key: SessionKey, session: Session, step: Exclude<Step, { do: 'rest' }>) => Promise<Outcome>
  failed: (key: SessionKey, step: Step, thrown: unknown) => void
  /** It is in no record any more. */
  leave: (key: SessionKey) => Promise<void>
  settleVerdict: (key: SessionKey, session: Session) => Promise<void>
  unlinkSuperseded: (key: SessionKey) => void
  snapshotIfDue: (key: SessionKey) => void
  reportStatus: (key: SessionKey) => void
}

export interface PassNeeds extends Basics, Sessions {
  lease: Pick<RunnerLease, 'id' | 'isGood'>
  claims: Pick<Claims, 'effectiveOwner' | 'isLeftOver'>
  runners: Pick<RunnersSeen, 'isOwned' | 'candidates'>
  view: Pick<View, 'sessions' | 'owners' | 'jobs' | 'learnedMs'>
  queue: Pick<KeyQueue<SessionKey>, 'add' | 'addAt'>
  pacer: Pick<Pacer<SessionKey>, 'done'>
  breaker: Pick<FleetBreaker, 'waitsUntilMs' | 'accepted' | 'asked'>
  version: Pick<ClientVersions, 'accepted'>
  lag: Pick<LoopLag, 'isHeldUp'>
  boot: Pick<BootReport, 'elsewhere' | 'note'>
  gate: Pick<Gate, 'waits'>
  /** Sessions that have a device being unlinked right now. */
  unlinking: Pick<SlowLane, 'isBusy'>
  unlinkingRemoved: Pick<SlowLane, 'isBusy'>
}

/** The passes of one runner: observe → plan → act → tell, for one session at a time. */
export class Passes {
  readonly #context: PassNeeds
  readonly #steps: Steps
  readonly #rules: PassRules
  readonly #unownedSince = new Map<SessionKey, number>()
  readonly #rate = new StepRate<SessionKey>()

  constructor(context: PassNeeds, steps: Steps, rules: PassRules) {
    this.#context = context
    this.#steps = steps
    this.#rules = rules
  }

  /** One pass: look, decide, do one thing, tell; then look again until there is nothing to do. */
  async run(key: SessionKey): Promise<void> {
    const { view, queue, clock, log, boot } = this.#context
    const session = view.sessions.get(key)
    if (!session) {
      this.#unownedSince.delete(key)
      return this.#steps.leave(key)
    }
    this.#noteConnection(key)
    this.#heedPerson(key, session)
    await this.#steps.settleVerdict(key, session)
    const step = this.#decide(key)
    if (!step) return
    if (step.do === 'rest') {
      this.#steps.reportStatus(key)
      if (step.why === 'not_ours') boot.elsewhere(key)
      if (step.why === 'blocked' && session.status)
        boot.note(key, session.status.phase, session.status.reason, clock.monotonicMs())
      if (step.untilMs !== undefined) queue.addAt(key, step.untilMs)
      this.#steps.unlinkSuperseded(key)
      this.#steps.snapshotIfDue(key)
      return
    }
    if (!this.#rules.reconcile && !this.#rules.isDraining()) {
      log.info({ sessionId: key, step: step.do }, 'would act, but reconciling is off')
      return
    }
    const mayAtMs = step.do === 'drop' ? 0 : this.#mayAtMs(key, session)
    if (clock.monotonicMs() < mayAtMs) {
      this.#steps.reportStatus(key)
      queue.addAt(key, mayAtMs)
      return
    }
    await this.#take(key, session, step)
  }

  /** Too many steps in a row, or one that has just failed, and this one has to wait. */
  #mayAtMs(key: SessionKey, session: Session): number {
    const inHaste = this.#rules.isDraining() || this.#rules.isLeaving(key)
    return this.#rate.mayAtMs(key, this.#outside(key, session), this.#context.clock.monotonicMs(), inHaste)
  }

  #outside(key: SessionKey, { createdAt, want }: Session): Outside {
    const { view, live } = this.#context
    const { connection, lastDisconnect } = live.get(key) ?? {}
    const job = view.jobs.get(key)?.[0]?.id ?? ''
    return {
      word: `${createdAt} ${want.generation} ${job}`,
      event: connection?.is === 'open' ? 'open' : lastDisconnect?.why,
    }
  }

  async #take(key: SessionKey, session: Session, step: Exclude<Step, { do: 'rest' }>): Promise<void> {
    const { view, live, queue, clock, log, lease } = this.#context
    const startMs = clock.monotonicMs()
    const outside = this.#outside(key, session)
    let outcome: Outcome | 'failed'
    // It may wait for the journal for a minute; what is shown until then must not be what was before it broke.
    if (step.do === 'rehydrate') this.#steps.reportStatus(key)
    try {
      outcome = await this.#steps.act(key, session, step)
    } catch (error) {
      this.#steps.failed(key, step, error)
      // What it shows may not be true any more, and what its journal waits for belongs in there.
      this.#steps.reportStatus(key)
      outcome = 'failed'
    }
    if (outcome === 'not_yet') return this.#steps.reportStatus(key)
    const nowMs = clock.monotonicMs()
    const waitMs = WAIT_MS[outcome]
    const inVain = this.#rate.took(key, outside, nowMs, waitMs)
    if (inVain !== undefined)
      log.warn(
        { sessionId: key, step: step.do, steps: inVain },
        'session is being worked on without progress',
      )
    if (outcome === 'failed') return queue.addAt(key, nowMs + waitMs)
    const now = view.sessions.get(key)
    log.info(
      {
        sessionId: key,
        runnerId: lease.id,
        epoch: view.owners.get(key)?.epoch,
        generation: now?.want.generation,
        want: now?.want.state,
        have: now?.status?.phase,
        step: step.do,
        ...('why' in step ? { why: step.why } : {}),
        steps: this.#rate.stepsOf(key),
        durationMs: Math.round(nowMs - startMs),
      },
      outcome === 'lost' ? 'claim lost' : 'step taken',
    )
    this.#steps.reportStatus(key)
    if (outcome === 'lost') queue.addAt(key, nowMs + waitMs)
    // A connection that begins tells of itself.
    else if (step.do !== 'open' || live.get(key)?.connection.is !== 'none') queue.add(key)
  }

  /** A restart or resume that came while the session waited for its next try: it waits no longer. */
  #heedPerson(key: SessionKey, session: Session): void {
    const { live, breaker, clock } = this.#context
    const waiting = live.get(key)
    if (!waiting || !personSpoke(session)) return
    waiting.startOver()
    breaker.asked(key, clock.monotonicMs())
  }

  /** A connection that came up, or that waits for a person, makes room for the next one. */
  #noteConnection(key: SessionKey): void {
    const { live, pacer, breaker, version } = this.#context
    const session = live.get(key)
    if (!session) return
    const { connection, pairing } = session
    if (connection.is === 'none' || (connection.is === 'connecting' && !pairing.shown)) return
    // A QR too is shown to nobody whose version is refused.
    version.accepted(key)
    breaker.accepted(connection.is === 'open' ? connection.openSinceMs : connection.begunMs)
    pacer.done(key)
  }

  #decide(key: SessionKey): Step | undefined {
    const { view, live, lease, claims, runners, clock, breaker, gate } = this.#context
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
      jobWaits: gate.waits(key),
      live: live.get(key),
      lease: lease.isGood ? 'good' : 'lost',
      draining: this.#rules.isDraining(),
      leaving: this.#rules.isLeaving(key),
      me: lease.id,
      ownerAlive,
      unreleased: claims.isLeftOver(key, view.owners.get(key)),
      claimAtMs:
        ownerAlive || isIdle(session, view.jobs.has(key)) ? Infinity : this.#claimAt(key, monotonicMs),
      breakerUntilMs: breaker.waitsUntilMs(monotonicMs, key),
      nowMs: clock.nowMs(),
      monotonicMs,
      unlinking: this.#context.unlinking.isBusy(key) || this.#context.unlinkingRemoved.isBusy(key),
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

  /** Queues every session that has something to do. Answers how many. */
  sweep(): number {
    const { view, queue, live, clock } = this.#context
    this.#rate.tidy(clock.monotonicMs())
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
        this.#steps.reportStatus(key)
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
