import type { Dice } from './dice.ts'

/**
 * How often each fault of the model comes (README.md says what each one is). Means are virtual milliseconds between two
 * of a kind, per host or per device; the others are probabilities per call or per attempt.
 */
export interface Faults {
  /** Per host. */
  crashEveryMs: number
  freezeEveryMs: number
  partitionEveryMs: number
  rollEveryMs: number
  drainEveryMs: number
  wallStepEveryMs: number
  /** Of the one store. */
  storeStepEveryMs: number
  /** Per store call: the process ends right before the call is sent, or right after the store did it. */
  crashAtCall: number
  /** Per store call. */
  failBefore: number
  loseAnswer: number
  slow: number
  late: number
  /** Per watch call and watcher. */
  loseHint: number
  lateHint: number
  /** Per device. */
  cutEveryMs: number
  stallEveryMs: number
  foreignEveryMs: number
  /** Per attempt to connect. */
  refuse: number
  silent: number
  /** The login stalls; it may arrive behind that of the next connection. */
  stallLogin: number
  /** Per crash: WhatsApp never hears of it. */
  halfOpen: number
  /** Per start: what was on the disk is gone. */
  wipe: number
}

/** Nothing goes wrong. */
export const CALM: Faults = {
  crashEveryMs: Infinity,
  freezeEveryMs: Infinity,
  partitionEveryMs: Infinity,
  rollEveryMs: Infinity,
  drainEveryMs: Infinity,
  wallStepEveryMs: Infinity,
  storeStepEveryMs: Infinity,
  crashAtCall: 0,
  failBefore: 0,
  loseAnswer: 0,
  slow: 0,
  late: 0,
  loseHint: 0,
  lateHint: 0,
  cutEveryMs: Infinity,
  stallEveryMs: Infinity,
  foreignEveryMs: Infinity,
  refuse: 0,
  silent: 0,
  stallLogin: 0,
  halfOpen: 0,
  wipe: 0,
}

/**
 * The faults of one run. Each kind is there in some runs and absent in others, in different strength: a run in which
 * everything goes wrong at once hides what two faults alone would show.
 */
export function drawFaults(dice: Dice): Faults {
  const every = (minMs: number, maxMs: number, share = 0.6): number =>
    dice.chance(share) ? dice.between(minMs, maxMs) : Infinity
  const often = (most: number, share = 0.6): number => (dice.chance(share) ? dice.between(0, most) : 0)
  return {
    crashEveryMs: every(20_000, 120_000),
    freezeEveryMs: every(20_000, 120_000),
    partitionEveryMs: every(30_000, 120_000),
    rollEveryMs: every(20_000, 120_000),
    drainEveryMs: every(60_000, 240_000, 0.3),
    wallStepEveryMs: every(20_000, 120_000, 0.4),
    crashAtCall: often(0.003, 0.5),
    failBefore: often(0.05),
    loseAnswer: often(0.05),
    slow: often(0.1),
    late: often(0.03),
    loseHint: often(0.5),
    lateHint: often(0.3),
    cutEveryMs: every(15_000, 120_000),
    stallEveryMs: every(30_000, 180_000, 0.4),
    foreignEveryMs: every(60_000, 240_000, 0.3),
    refuse: often(0.3, 0.4),
    silent: often(0.1, 0.3),
    halfOpen: often(1, 0.7),
    wipe: often(1, 0.7),
    storeStepEveryMs: every(30_000, 120_000, 0.3),
    stallLogin: often(0.1, 0.3),
  }
}
