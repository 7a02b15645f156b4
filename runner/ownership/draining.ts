import { within } from '#shared/within.ts'
import type { Gate } from '../gate/gate.ts'
import type { Basics } from '../loop/needs.ts'
import type { SlowLane } from '../loop/slow-lane.ts'
import type { DrainSummary, HandOver } from './hand-over.ts'
import type { RunnerLease } from './lease.ts'
import type { Preparations } from './preparations.ts'

/** Cloud Run kills ten seconds after SIGTERM. What has not left by then has no time left to. */
const DRAIN_WITHIN_MS = 8_000
/** Telling the others that this runner drains makes the hand-over smooth; a store that hangs must not take its time. */
const ANNOUNCE_WITHIN_MS = 1_500

export interface DrainingNeeds extends Basics {
  lease: Pick<RunnerLease, 'id' | 'isGood' | 'draining' | 'drain'>
  live: { readonly size: number }
  gate: Pick<Gate, 'interrupt'>
  preparations: Pick<Preparations, 'look'>
  snapshots: Pick<SlowLane, 'abort'>
  unlinking: Pick<SlowLane, 'abort'>
  unlinkingRemoved: Pick<SlowLane, 'abort'>
}

export interface DrainingCalls {
  handOver: Pick<HandOver, 'drain' | 'stay'>
  /** Looks at the other runners. */
  look: () => Promise<void>
  /** It was taken back: everything is looked at anew. */
  takenBack: () => void
  /** All was handed over because somebody asked for it through the store; the process is to end. */
  drained: () => void
}

/**
 * The end of a runner's work: nothing is claimed or begun any more, and every session goes to somebody else. One that was
 * asked for through the store can be taken back there while it lasts, one that the process itself began can't.
 */
export class Draining {
  readonly #context: DrainingNeeds
  readonly #calls: DrainingCalls
  #underWay: Promise<DrainSummary> | undefined
  #isUnderWay = false
  #isOurs = false
  #isOver = false

  constructor(context: DrainingNeeds, calls: DrainingCalls) {
    this.#context = context
    this.#calls = calls
  }

  /** From its beginning on, also once all has left. */
  get isUnderWay(): boolean {
    return this.#isUnderWay
  }

  /** The process itself ends. Resolves when nothing is left here that can go in time; a repeat waits for the same. */
  begin(): Promise<DrainSummary> {
    const isRepeat = this.#underWay !== undefined
    this.#isOurs = true
    this.#underWay ??= this.#drain()
    // One that was asked for is under way: from here on it is our own, and can't be taken back.
    if (isRepeat && !this.#isOver) void this.#context.lease.drain()
    return this.#underWay
  }

  /** Somebody asked for it through the store, or does no more. Harmless where that is known. */
  heed(): void {
    if (this.#context.lease.draining && !this.#isUnderWay) void this.#drainAsAsked()
  }

  /** The runner ends: nobody is told anything any more. */
  over(): void {
    this.#isOver = true
  }

  async #drain(): Promise<DrainSummary> {
    const { lease, live, log, clock, gate, preparations, snapshots, unlinking, unlinkingRemoved } =
      this.#context
    const { handOver, look } = this.#calls
    const endMs = clock.monotonicMs() + DRAIN_WITHIN_MS
    log.info({ sessions: live.size }, 'draining')
    this.#isUnderWay = true
    gate.interrupt(true)
    preparations.look()
    for (const lane of [snapshots, unlinking, unlinkingRemoved]) lane.abort()
    // Who came up a moment ago is a successor too: not knowing it would let all sessions go at once.
    const announced = Promise.all([this.#isOurs ? lease.drain() : undefined, look()])
    await within(clock, ANNOUNCE_WITHIN_MS, announced)
    const mayGoOn = (): boolean => lease.isGood && (this.#isOurs || lease.draining)
    const summary = await handOver.drain(mayGoOn, endMs - clock.monotonicMs())
    log.info(summary, 'drained')
    return summary
  }

  async #drainAsAsked(): Promise<void> {
    const { lease, log, live, gate } = this.#context
    this.#underWay = this.#drain()
    await this.#underWay
    if (this.#isOurs) return
    if (lease.draining) {
      log.warn(
        { runnerId: lease.id },
        'drained as asked; the process ends, and its supervisor is to start a new one',
      )
      this.#calls.drained()
      return
    }
    this.#underWay = undefined
    this.#isUnderWay = false
    this.#calls.handOver.stay()
    gate.interrupt(false)
    log.info({ runnerId: lease.id, sessions: live.size }, 'the drain was taken back')
    this.#calls.takenBack()
    this.heed()
  }
}
