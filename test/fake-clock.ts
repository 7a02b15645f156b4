import type { Clock } from '#shared/clock.ts'
import { SimulatedProcess } from './simulation/process.ts'
import { VirtualTime } from './simulation/virtual-time.ts'

export interface FakeClock extends Clock {
  /** Runs the timers of the next `ms` in order, each until nothing is ready any more. */
  advance(ms: number): Promise<void>
  /** Lets everything run that is ready now. Time stands still. */
  settle(): Promise<void>
  /** Turns the wall clock, as an administrator or NTP would. The monotonic clock does not notice. */
  turnWall(ms: number): void
  /** Timers that are set and did not run yet: 0 once everything is closed. */
  readonly timers: number
}

/** Not 0, so that a time which was never set is not taken for now. */
const START_MS = 5_000_000

/** The virtual time of the simulation, counting its timers. */
class CountedTime extends VirtualTime {
  timers = 0

  override after(ms: number, task: () => void): () => void {
    this.timers++
    let isSet = true
    const over = (): void => {
      if (isSet) this.timers--
      isSet = false
    }
    const cancel = super.after(ms, () => {
      over()
      task()
    })
    return () => {
      over()
      cancel()
    }
  }
}

/** A clock that stands still until a test moves it. */
export function fakeClock(): FakeClock {
  const time = new CountedTime()
  time.nowMs = START_MS
  const process = new SimulatedProcess(time, 'test')
  const settle = async (): Promise<void> => {
    // What is ready may make more ready, through a promise of the event loop's next turn.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => void setImmediate(resolve))
  }
  return {
    ...process.clock,
    settle,
    advance: async (ms) => {
      await settle()
      await time.runUntil(time.nowMs + ms)
      await settle()
    },
    turnWall: (ms) => {
      process.wallOffsetMs += ms
    },
    get timers() {
      return time.timers
    },
  }
}
