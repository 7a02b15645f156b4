import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { makeEmbedded, openAt, temporaryFolder } from './embedded-subject.ts'
import { eventually } from './eventually.ts'
import { keyOf, lease, runner } from './samples.ts'

const CHILD = fileURLToPath(new URL('embedded-child.ts', import.meta.url))
const children = new Set<ChildProcess>()

afterEach(async () => {
  await Promise.all([...children].map(kill))
})

function start(task: string, dataDir: string, name = ''): { process: ChildProcess; lines: string[] } {
  const child = spawn(process.execPath, [CHILD, task, dataDir, name], {
    stdio: ['pipe', 'pipe', task === 'break' ? 'ignore' : 'inherit'],
  })
  children.add(child)
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  return { process: child, lines }
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'close')
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL')
    await ended
  }
  children.delete(child)
}

test('proves a runner dead as soon as its process was killed, and not before', async () => {
  const subject = await makeEmbedded()
  const child = start('renew', subject.dataDir, 'a')
  await eventually('the runner renewed', () => child.lines.includes('renewed'))
  expect(await subject.stores.runners.provenDead(runner('a'))).toBe(false)
  await kill(child.process)
  expect(await subject.stores.runners.provenDead(runner('a'))).toBe(true)
  await subject.stores.runners.remove(runner('a'))
  expect(await subject.stores.runners.provenDead(runner('a'))).toBe(false)
  await subject.close()
})

test('proves a runner of this process dead once its stores were closed', async () => {
  const subject = await makeEmbedded()
  const other = await subject.reopen()
  await other.runners.renew(lease('a', 1))
  expect(await subject.stores.runners.provenDead(runner('a'))).toBe(false)
  await other.close()
  expect(await subject.stores.runners.provenDead(runner('a'))).toBe(true)
  await subject.close()
})

test('hears of a change that another process made within a tenth of a second', async () => {
  const subject = await makeEmbedded()
  const child = start('watch', subject.dataDir)
  await eventually('the other watches', () => child.lines.includes('watching'))
  const delays: number[] = []
  for (let epoch = 0; epoch < 5; epoch++) {
    const key = keyOf('t', `s${epoch}`)
    const ask = { key, runnerId: runner('a'), expectEpoch: 0, nonce: `n${epoch}`, nowMs: 1 }
    await subject.stores.owners.claim(ask)
    const sinceMs = systemClock.monotonicMs()
    await eventually('the claim is heard', () => child.lines.includes(key))
    delays.push(systemClock.monotonicMs() - sinceMs)
  }
  // The best of five: a machine that is busy delays some, a watch that is slow delays all.
  expect(Math.min(...delays)).toBeLessThan(100)
  await subject.close()
})

test('finds every entry that was acknowledged before a kill -9', async () => {
  await using folder = await temporaryFolder()
  for (const round of [1, 2, 3]) {
    const dataDir = `${folder.path}/${round}`
    const child = start('append', dataDir)
    await eventually('a few hundred are acknowledged', () => child.lines.length > 300)
    await kill(child.process)
    const stores = await openAt(dataDir)
    const acknowledged = child.lines.filter((line) => /^\d \d+$/.test(line)).map((line) => line.split(' '))
    expect(acknowledged.length).toBeGreaterThan(290)
    for (const session of ['1', '2', '3', '4']) {
      const entries = await stores.journal.read(keyOf('t', `s${session}`), 1)
      const told = acknowledged.filter(([of]) => of === session).length
      expect(entries.length).toBeGreaterThanOrEqual(told)
      expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, index) => index + 1))
    }
    await stores.close()
  }
})

test.for([
  ['wired', 74],
  ['by default', 1],
] as const)('a database that breaks ends the process, %s with code %i, and says so', async ([how, code]) => {
  await using folder = await temporaryFolder()
  const { process: child, lines } = start('break', folder.path, how)
  const [ended] = (await once(child, 'close')) as [number | null]
  children.delete(child)
  expect(ended).toBe(code)
  expect(lines.join()).toContain(how === 'wired' ? 'the stores broke' : 'refused')
})

test('gives each epoch to exactly one of three processes that claim at once', async () => {
  const subject = await makeEmbedded()
  const claimers = ['a', 'b', 'c'].map((name) => start('claim', subject.dataDir, name))
  await eventually('all are done', () => claimers.every(({ lines }) => lines.includes('done')), 20_000)
  const won = claimers.flatMap(({ lines }) => lines.filter((line) => line.startsWith('won')))
  const head = await subject.stores.owners.get(keyOf('t', 's'))
  const epochs = Array.from({ length: head?.epoch ?? 0 }, (_, index) => `won ${index + 1}`)
  expect(won.length).toBeGreaterThan(0)
  expect(won.toSorted()).toEqual(epochs.toSorted())
  await subject.close()
})
