import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { open } from '#shared/envelope.ts'
import { CodedError, type ErrorCode } from '#shared/errors.ts'
import { openBundle } from '#runner/state/bundle.ts'
import { decodeEntry, encodeEntry } from '#runner/state/entry.ts'
import { openEntry } from '#runner/state/sealed-entry.ts'
import { entryAad } from '#runner/state/aad.ts'
import { decodeValue } from '#runner/state/record.ts'
import { openChunk, RecordMap } from '#runner/state/record-map.ts'
import { readSnapshot } from '#runner/state/snapshot-file.ts'
import { fileWorkingCopies } from '#runner/state/working-copy.ts'
import { golden } from './golden.ts'

const { place, dataKey, state, passphrase } = golden
const find = (id: string) => (id === dataKey.id ? dataKey : undefined)
const ring = { current: dataKey, find, ids: [dataKey.id] }
const records = new RecordMap((await readSnapshot(place, [golden.read('snapshot-v2.bin')], find)).chunks)
const [chunk] = records.repack()
if (!chunk) throw new Error('the golden state has records')

/** Each way in which stored bytes come back, with bytes that are good. `guarded` ones notice any change at all. */
const DECODERS: readonly {
  name: string
  good: Buffer
  guarded: boolean
  code: ErrorCode
  decode: (bytes: Uint8Array) => unknown
}[] = [
  {
    name: 'an envelope',
    good: golden.read('entry-v2.bin'),
    guarded: true,
    code: 'bad_bytes',
    decode: (sealed) => open(find, sealed, entryAad(place.key, place.epoch, place.seq)),
  },
  {
    name: 'an entry of the time before the chain',
    good: golden.read('entry-v2.bin'),
    guarded: true,
    code: 'bad_bytes',
    decode: (sealed) =>
      openEntry(place.key, { seq: place.seq, epoch: place.epoch, nonce: 'n', sealed }, ring, records),
  },
  {
    name: 'a sealed entry',
    good: golden.read('entry-v3.bin'),
    guarded: true,
    code: 'bad_bytes',
    decode: (sealed) =>
      openEntry(place.key, { seq: place.seq, epoch: place.epoch, nonce: 'n', sealed }, ring, records),
  },
  {
    name: 'an entry without its seal',
    good: Buffer.from(encodeEntry(golden.change, (key) => records.get(key))),
    guarded: false,
    code: 'bad_bytes',
    decode: (bytes) => decodeEntry(bytes, (key) => records.get(key)),
  },
  {
    name: 'a snapshot of the time before the chain',
    good: golden.read('snapshot-v1.bin'),
    guarded: true,
    code: 'bad_bytes',
    decode: (bytes) => readSnapshot(place, [bytes], find),
  },
  {
    name: 'a snapshot',
    good: golden.read('snapshot-v2.bin'),
    guarded: true,
    code: 'bad_bytes',
    decode: (bytes) => readSnapshot(place, [bytes], find),
  },
  {
    name: 'a chunk without its seal',
    good: Buffer.from(chunk.packed),
    guarded: false,
    code: 'bad_bytes',
    decode: (packed) => openChunk({ firstKey: '', packed }),
  },
  {
    name: 'a record',
    good: Buffer.from(state['session/491700000001.0'] ?? []),
    guarded: false,
    code: 'bad_bytes',
    decode: decodeValue,
  },
  {
    name: 'a bundle',
    good: golden.read('bundle-v1.bin'),
    guarded: true,
    code: 'bad_import',
    decode: (bytes) => openBundle(bytes, passphrase),
  },
]

/** A few small accidents: bits flip, bytes go, come or come twice. */
const accident = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), by: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ kind: fc.constant('drop' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    kind: fc.constant('insert' as const),
    at: fc.nat(),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }),
  }),
  fc.record({ kind: fc.constant('repeat' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 40 }) }),
)
type Accident = typeof accident extends fc.Arbitrary<infer A> ? A : never
const accidents = fc.array(accident, { minLength: 1, maxLength: 3 })

function after(good: Buffer, happened: readonly Accident[]): Buffer {
  let bytes = Buffer.from(good)
  for (const one of happened) {
    if (bytes.length === 0) break
    const at = one.at % bytes.length
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)]
    if (one.kind === 'flip') bytes[at] = (bytes[at] ?? 0) ^ one.by
    else if (one.kind === 'drop') bytes = Buffer.concat([head, tail.subarray(one.length)])
    else if (one.kind === 'insert') bytes = Buffer.concat([head, one.bytes, tail])
    else bytes = Buffer.concat([head, tail.subarray(0, one.length), tail])
  }
  return bytes
}

async function outcome(decode: () => unknown): Promise<string> {
  try {
    await decode()
    return 'decoded'
  } catch (error) {
    return error instanceof CodedError ? error.code : `another error: ${String(error)}`
  }
}

describe.for(DECODERS)('$name', ({ good, guarded, code, decode }) => {
  test('is decoded as it was made', async () => {
    expect(await outcome(() => decode(good))).toBe('decoded')
  })

  test('made of any bytes is refused, and nothing crashes', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      // Past the version, so that what lies behind it is reached as well.
      fc.uint8Array({ maxLength: 400 }).map((tail) => Buffer.concat([good.subarray(0, 1), tail])),
      fc.uint8Array({ maxLength: 400 }).map((tail) => Buffer.concat([good.subarray(0, 60), tail])),
    )
    await fc.assert(
      fc.asyncProperty(bytes, async (any) => {
        const result = await outcome(() => decode(any))
        if (guarded) expect(result).toBe(code)
        else expect([code, 'decoded', 'newer_format']).toContain(result)
      }),
      { numRuns: 200 },
    )
  })

  test('that met accidents is refused, and nothing crashes', async () => {
    await fc.assert(
      fc.asyncProperty(accidents, async (happened) => {
        const bytes = after(good, happened)
        fc.pre(!bytes.equals(good))
        const result = await outcome(() => decode(bytes))
        if (guarded) expect(result).toBe(code)
        else expect([code, 'decoded', 'newer_format']).toContain(result)
      }),
      { numRuns: 150 },
    )
  })
})

describe('a working copy', () => {
  test('made of any bytes gives entries in order or nothing, and the runner goes on', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mooring-fuzz-'))
    try {
      const good = await goodTail(join(folder, 'good'))
      const tail = fc.oneof(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
        accidents.map((happened) => after(good, happened)),
      )
      let run = 0
      await fc.assert(
        fc.asyncProperty(tail, fc.uint8Array({ maxLength: 40 }), async (tailBytes, baseBytes) => {
          const dir = join(folder, `${run++}`)
          await mkdir(dir)
          await writeFile(join(dir, `${encodeURIComponent(place.key)}.tail`), tailBytes)
          if (baseBytes.length > 20)
            await writeFile(join(dir, `${encodeURIComponent(place.key)}.base`), baseBytes)
          const copies = fileWorkingCopies(dir, pino({ level: 'silent' }))
          const copy = await copies.load(place.key)
          const first = (copy?.head.seq ?? 0) + 1
          expect(copy?.tail.map(({ seq }, at) => seq === first + at) ?? []).not.toContain(false)
          copies.append(place.key, { seq: 9, epoch: 1, nonce: 'n', sealed: Buffer.of(1) })
          await copies.settle()
          await copies.drop(place.key)
        }),
        { numRuns: 60 },
      )
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

async function goodTail(dir: string): Promise<Buffer> {
  const copies = fileWorkingCopies(dir, pino({ level: 'silent' }))
  for (const seq of [1, 2, 3, 4])
    copies.append(place.key, { seq, epoch: 1, nonce: `n${seq}`, sealed: Buffer.alloc(40, seq) })
  await copies.settle()
  return readFile(join(dir, `${encodeURIComponent(place.key)}.tail`))
}
