import { afterAll, beforeAll, expect, test } from 'vitest'
import { startChild, type Child } from '#test/e2e/child.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { startWatcher, type Watcher } from './watcher.ts'

/** That nothing was seen says something only where something would have been. */

let watcher: Watcher
const children: Child[] = []
beforeAll(async () => {
  watcher = await startWatcher()
})
afterAll(async () => {
  await Promise.all(children.map((child) => child.end('SIGKILL')))
  await watcher.close()
})

/** What is seen of a process that says so, and then does this once. */
async function seenOf(does: string) {
  const child = startChild(
    [
      '--eval',
      `process.once('SIGUSR2', () => { ${does}; console.log('did it') }); setInterval(() => {}, 9e4); console.log('ready')`,
    ],
    watcher.env,
  )
  children.push(child)
  await eventually('it to be ready', () => child.lines.includes('ready'))
  const end = await watcher.watch([{ name: 'it', pid: child.pid }])
  child.signal('SIGUSR2')
  await eventually('it to be done', () => child.lines.includes('did it') || !child.alive)
  const [seen] = await end()
  return seen
}

test.for<[what: string, does: string, sees: Record<string, unknown>]>([
  ['nothing of a process that does nothing', '', { alive: true }],
  [
    'a loop that was held',
    'const end = performance.now() + 600; while (performance.now() < end);',
    { alive: true, pauseMs: expect.toSatisfy((ms: number) => ms > 200) },
  ],
  [
    'a loop that waited for a file',
    'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)',
    { alive: true, pauseMs: expect.toSatisfy((ms: number) => ms > 200) },
  ],
  [
    'memory that was taken, by it or by what it started',
    'globalThis.kept = Buffer.alloc(300 << 20, 1); require("node:child_process").execFileSync("sleep", ["0.3"])',
    { alive: true, mostMib: expect.toSatisfy((mib: number) => mib > 300) },
  ],
  ['a process that ended', 'process.exit()', { alive: false }],
])('the watcher sees %s', async ([, does, sees]) => {
  expect(await seenOf(does)).toMatchObject(sees)
})
