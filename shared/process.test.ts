import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'

/** Runs a program under the guards, and answers how it ended and what it said. */
async function run(program: string): Promise<{ code: number | null; said: string }> {
  const script = `
    import { endOnSignals, guardProcess, handedToLibrary } from '#shared/process.ts'
    import { createLog } from '#shared/log.ts'
    const log = createLog({ level: 'info', pretty: false, service: 'test', version: '0' })
    guardProcess(log)
    const goesOn = setInterval(() => undefined, 1_000)
    ${program}
  `
  const cwd = new URL('..', import.meta.url)
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { cwd })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (said += String(bytes)))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, said }
}

test('a process that can’t end in order ends in time', async () => {
  const { code, said } = await run(`
    endOnSignals(log, () => new Promise(() => undefined), 200)
    process.kill(process.pid, 'SIGTERM')
  `)
  expect(code).toBe(1)
  expect(said).toContain('did not end in time')
})

test('a process whose event loop is never idle ends in time', async () => {
  const { code, said } = await run(`
    const spin = () => setImmediate(spin)
    spin()
    endOnSignals(log, () => new Promise(() => undefined), 200)
    process.kill(process.pid, 'SIGTERM')
  `)
  expect(code).toBe(1)
  expect(said).toContain('did not end in time')
})

test('a second signal ends a process at once', async () => {
  const { code, said } = await run(`
    endOnSignals(log, () => new Promise(() => process.kill(process.pid, 'SIGTERM')))
    process.kill(process.pid, 'SIGTERM')
  `)
  expect(code).toBe(1)
  expect(said).toContain('forced to end')
})

test('a process ends with 0 when it was asked to and all is handed over, with 1 when something is left', async () => {
  const asked = (left: number): string => `endOnSignals(log, async () => ${left})('drained as asked')`
  expect(await run(asked(0))).toMatchObject({ code: 0, said: expect.stringContaining('drained as asked') })
  expect(await run(asked(2))).toMatchObject({ code: 1 })
})

test('a rejection of ours that nobody handles ends the process', async () => {
  const { code, said } = await run(`void Promise.reject(new Error('a bug of ours'))`)
  expect(code).toBe(70)
  expect(said).toContain('a rejection of ours was not handled')
})

test.for([
  ['what we handed to it', `handedToLibrary(new Error('closed'))`],
  [
    'what it threw itself',
    `Object.assign(new Error('x'), { stack: 'Error: x at /app/node_modules/lib/a.js:1:1' })`,
  ],
  ['what is no error at all', `'a word'`],
])('%s and a library left unhandled is told and ends nothing', async ([, reason]) => {
  const { code, said } = await run(`
    void Promise.reject(${reason})
    setTimeout(() => process.exit(7), 100)
  `)
  expect(code).toBe(7)
  expect(said).toContain('a library left a rejection unhandled')
})
