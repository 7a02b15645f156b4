import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, expect, test, vi } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { ageSeal } from '#shared/sealing/age.ts'
import { sessionKey, type SessionId, type TenantId } from '#shared/ids.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { stringifyBufferJson } from '../state/buffer-json.ts'
import { checkState } from '../state/check.ts'
import { plainBundle } from '../state/plain-bundle.ts'
import { RecordMap } from '../state/record-map.ts'
import { CREDS_KEY, encodeValue } from '../state/record.ts'
import {
  BOMB_PASSPHRASE as PASSPHRASE,
  linkedCreds,
  manyFrames,
  manyLists,
  manyNames,
} from './gate.fixture.ts'
import { readInChild, READER_LIMITS, type Read } from './child.ts'
import { Gate } from './gate.ts'

const never = new AbortController().signal

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1 << 16) yield bytes.subarray(at, at + (1 << 16))
}

const read = (bytes: Uint8Array, more: Partial<Parameters<typeof readInChild>[2]> = {}): Promise<Read> =>
  readInChild(
    inPieces(bytes),
    { nowMs: 1, cleanlyStopped: true, passphrase: PASSPHRASE },
    { clock: systemClock, signal: never, ...more },
  )

/** A reader of the test's own, in the place of ours. */
async function programOf(text: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-reader-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const path = join(dir, 'reader.mjs')
  await writeFile(path, text)
  return path
}

function goodRecords(): RecordMap {
  const records = new RecordMap()
  records.set(CREDS_KEY, encodeValue(linkedCreds()))
  for (let at = 0; at < 30; at++)
    records.set(`pre-key/${at}`, encodeValue({ public: Buffer.alloc(32), private: Buffer.alloc(32) }))
  return records
}

test('C4: a folder, a bundle in an age file and one without it are read by a process of their own', async () => {
  const bundle = Buffer.concat([...plainBundle(goodRecords(), { session: 'x' })])
  const sealed = await ageSeal(bundle, { passphrase: PASSPHRASE })
  const file = (value: unknown): string => Buffer.from(stringifyBufferJson(value)).toString('base64')
  const preKey = { public: randomBytes(32), private: randomBytes(32) }
  const files = { 'creds.json': file(linkedCreds()), 'pre-key-30.json': file(preKey) }
  for (const bytes of [bundle, sealed, Buffer.from(JSON.stringify({ files }))]) {
    const { records } = await read(bytes)
    expect(checkState(records)).toEqual({ valid: true, problems: [] })
  }
  expect([...(await read(sealed)).records.entries()].length).toBe(31)
})

test.for<[what: string, bytes: () => Promise<Uint8Array> | Uint8Array]>([
  ['2 KB that unfold to sixty million lists', manyLists],
  ['200 frames of 3 MiB', manyFrames],
  ['a folder of 62 MiB of small names', manyNames],
  ['no bytes at all', () => new Uint8Array()],
])('F3: %s is refused, and this process goes on', async ([, make]) => {
  const bytes = await make()
  await expect(read(bytes)).rejects.toMatchObject({ code: 'bad_import' })
})

test.for<[what: string, program: string, words: RegExp]>([
  ['fills its heap', 'const a = []; for (;;) a.push({ a: [] })', /memory/],
  [
    'fills its buffers',
    'const a = []; setInterval(() => a.push(Buffer.alloc(16 << 20, 1)), 10)',
    /more than 192 MiB/,
  ],
  ['never ends', 'for (;;);', /longer than 2 s/],
  ['ends without a word', '', /memory|ends its reader/],
  ['says what is no frame', 'process.stdout.write(Buffer.alloc(100, 255))', /no state/],
])('F3: a reader that %s is ended, and the bytes are refused', async ([, text, words]) => {
  const program = await programOf(text)
  const limits = { ...READER_LIMITS, withinMs: words.source.includes('2 s') ? 2_000 : 30_000 }
  const refused = read(Buffer.from('x'), { program, limits })
  await expect(refused).rejects.toMatchObject({
    code: 'bad_import',
    message: expect.stringMatching(words) as string,
  })
})

test('F3: the reader has neither the flags nor the settings of its parent', async () => {
  vi.stubEnv('NODE_OPTIONS', '--max-semi-space-size=8')
  vi.stubEnv('MOORING_KEY', 'a key that is nobody else’s business')
  onTestFinished(() => void vi.unstubAllEnvs())
  const words = JSON.stringify(
    'Object.keys(process.env).filter((name) => /NODE_OPTIONS|MOORING|PATH/.test(name))',
  )
  const program = await programOf(
    `const found = eval(${words}); const bytes = Buffer.from(JSON.stringify({ code: 'bad_import', message: 'found ' + found }));` +
      'const head = Buffer.of(3, 0, 0, 0, bytes.length); process.stdout.write(Buffer.concat([head, bytes]))',
  )
  await expect(read(Buffer.from('x'), { program })).rejects.toThrow(/^found $/)
})

test('what is being read can be interrupted, and is nobody’s fault', async () => {
  const stop = new AbortController()
  const program = await programOf('setInterval(() => {}, 1000)')
  const reading = read(Buffer.from('x'), { program, signal: stop.signal })
  stop.abort()
  await expect(reading).rejects.toMatchObject({ code: 'closed' })
})

const key = (tenant: string, session: string) => sessionKey(tenant as TenantId, session as SessionId)

test('F3: one import at a time, tenants in turn, and whoever waits is woken', async () => {
  const woken: string[] = []
  const clock = fakeClock()
  const gate = new Gate(clock, (one) => woken.push(one))
  expect(gate.enter(key('greedy', '1'))).toBe(true)
  for (const one of [key('greedy', '2'), key('greedy', '3'), key('quiet', '1')]) {
    expect(gate.enter(one)).toBe(false)
    expect(gate.waits(one)).toBe(true)
  }
  gate.leave(key('greedy', '1'))
  expect(woken).toEqual([key('greedy', '2')])
  expect(gate.enter(key('quiet', '1'))).toBe(false)
  expect(gate.enter(key('greedy', '2'))).toBe(true)
  gate.leave(key('greedy', '2'))
  expect(woken.at(-1)).toBe(key('quiet', '1'))
  // It does not come: it was given to another runner meanwhile.
  await clock.advance(10_000)
  expect(woken.at(-1)).toBe(key('greedy', '3'))
})

test('a gate that is shut for a drain lets nobody in, and goes on when the drain is taken back', () => {
  const woken: string[] = []
  const gate = new Gate(fakeClock(), (one) => woken.push(one))
  gate.interrupt(true)
  expect(gate.enter(key('a', '1'))).toBe(false)
  gate.interrupt(false)
  expect(woken).toEqual([key('a', '1')])
  expect(gate.enter(key('a', '1'))).toBe(true)
})
