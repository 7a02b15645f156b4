/**
 * A preload that notes how long the event loop of its process stood still: `NODE_OPTIONS=--import=./test/hostile/loop-watch.ts`
 * with the folder to write into in `WATCH_DIR`. The product never imports it, and what the product starts by itself does not
 * inherit it.
 *
 * What counts is the time in which the loop was kept from its timers less the time in which the thread was ready and the
 * machine had no processor for it: that is other people's work, and two processors under a test suite have much of it.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import type { Beat } from './pauses.ts'

/** Twenty looks make the shortest pause that is judged. */
const LOOK_EVERY_MS = 10
/** Rare enough that writing it costs nothing, often enough that whoever waits for the next one waits for nothing else. */
const WRITE_EVERY_MS = 100
const NS_PER_MS = 1e6

/** Run and waiting time of the main thread in nanoseconds (Documentation/scheduler/sched-stats.rst). */
const waitedMs = (): number => {
  const [, waited = '0'] = readFileSync('/proc/self/schedstat', 'utf8').split(' ')
  return Number(waited) / NS_PER_MS
}
/** One clock for every process of a machine. */
const nowMs = (): number => Number(process.hrtime.bigint()) / NS_PER_MS

function watch(dir: string): void {
  const path = join(dir, String(process.pid))
  let lookedAt = nowMs()
  let waited = waitedMs()
  let beat: Beat = { fromMs: lookedAt, toMs: lookedAt, pauseMs: 0 }
  setInterval(() => {
    const [now, waitedNow] = [nowMs(), waitedMs()]
    const pauseMs = now - lookedAt - LOOK_EVERY_MS - (waitedNow - waited)
    beat = { fromMs: beat.fromMs, toMs: now, pauseMs: Math.max(beat.pauseMs, pauseMs) }
    lookedAt = now
    waited = waitedNow
    if (now - beat.fromMs < WRITE_EVERY_MS) return
    appendFileSync(path, `${JSON.stringify(beat)}\n`)
    beat = { fromMs: now, toMs: now, pauseMs: 0 }
  }, LOOK_EVERY_MS).unref()
}

const dir = process.env['WATCH_DIR']
if (isMainThread && dir !== undefined) watch(dir)
