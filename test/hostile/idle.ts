/**
 * The process beside those that are watched: it does nothing but make a few bytes durable now and then, as the embedded stores
 * do on their loop (shared/embedded/write-ahead-log.ts). So a disk that stands still, or a machine, is not taken for an attack.
 * `node --import=./test/hostile/loop-watch.ts test/hostile/idle.ts <file>`
 */
import { fdatasyncSync, openSync, writeSync } from 'node:fs'

const SYNC_EVERY_MS = 25

const file = openSync(process.argv[2] ?? '', 'w')
setInterval(() => {
  writeSync(file, '.')
  fdatasyncSync(file)
}, SYNC_EVERY_MS)
