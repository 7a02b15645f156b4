import { zstdCompressSync } from 'node:zlib'
import { Curve, initAuthCreds, proto } from '@whiskeysockets/baileys'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeCbor } from '#shared/cbor.ts'
import { CodedError } from '#shared/errors.ts'
import { stringifyBufferJson } from './buffer-json.ts'
import { exportBundle, type BundleMeta } from './bundle.ts'
import { checkState } from './check.ts'
import { ratchetFence } from './ratchet-fence.ts'
import { readImport, type ImportKind } from './read-import.ts'
import { CREDS_KEY, encodeValue } from './record.ts'
import { RecordMap } from './record-map.ts'

const NOW = 1_790_000_000_000
const PASSPHRASE = 'correct horse battery staple'
const CHEAP = { logN: 4, r: 8, p: 1 }
/** Stands in whatever is sent; no word of that may come back. */
const MARK = 'private-part-of-a-key'

/** Made once: key pairs take some milliseconds each. */
const LINKED = {
  ...initAuthCreds(),
  me: { id: '491701234567:5@s.whatsapp.net', lid: '9001:5@lid' },
  account: proto.ADVSignedDeviceIdentity.fromObject({
    details: Buffer.alloc(9, 1),
    accountSignatureKey: Buffer.alloc(32, 1),
    accountSignature: Buffer.alloc(64, 1),
    deviceSignature: Buffer.alloc(64, 1),
  }),
  nextPreKeyId: 31,
}
const PRE_KEY = Curve.generateKeyPair()

const folder = (files: Record<string, Uint8Array | string>): Buffer =>
  Buffer.from(
    JSON.stringify({
      files: Object.fromEntries(
        Object.entries(files).map(([name, content]) => [name, Buffer.from(content).toString('base64')]),
      ),
    }),
  )
const goodFolder = (more: Record<string, Uint8Array | string> = {}): Buffer =>
  folder({
    'creds.json': stringifyBufferJson(LINKED),
    'pre-key-30.json': stringifyBufferJson(PRE_KEY),
    ...more,
  })

/** A bundle that opens, of whoever knows its passphrase: its frames are what they are. */
const bundleOf = async (meta: unknown, frames: readonly Uint8Array[]): Promise<Buffer> =>
  Buffer.concat(
    await exportBundle({
      records: { repack: () => frames.map((packed) => ({ firstKey: '', packed })) } as unknown as RecordMap,
      meta: meta as BundleMeta,
      passphrase: PASSPHRASE,
      cost: CHEAP,
    }),
  )
const chunk = (flat: unknown): Uint8Array => zstdCompressSync(encodeCbor(flat))
const goodRecords = () => [CREDS_KEY, encodeValue(LINKED), 'pre-key/30', encodeValue(PRE_KEY)]

const asFolder = (cleanlyStopped: boolean): ImportKind => ({ format: 'baileys', cleanlyStopped })
const asBundle = (cleanlyStopped: boolean): ImportKind => ({
  format: 'bundle',
  passphrase: PASSPHRASE,
  cleanlyStopped,
})

/** What a tenant is told, or that the state is there; anything else is a fault of ours. */
async function outcome(bytes: Uint8Array, kind: ImportKind): Promise<string> {
  try {
    const { records, warnings } = await readImport(bytes, kind, NOW)
    expect(checkState(records)).toEqual({ valid: true, problems: [] })
    expect(JSON.stringify(warnings).length).toBeLessThan(51 * 200)
    return 'taken'
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    expect(error.cause).toBeUndefined()
    expect(error.message).not.toContain(MARK)
    expect(error.message.length).toBeLessThan(1_000)
    return error.code
  }
}

const json = fc.oneof(
  fc.json(),
  fc.anything({ withDate: false, withBigInt: false }).map((value) => JSON.stringify(value) ?? ''),
  fc.constantFrom(
    '',
    'null',
    '[]',
    `{"me":{"id":"49:5@x"},"noiseKey":"${MARK}`,
    '{"__proto__":{"a":1}}',
    '{"_sessions":{"a":null}}',
    '{"type":"Buffer","data":5}',
    '{"0":1e99}',
  ),
)
const content = fc.oneof(json, fc.uint8Array({ maxLength: 200 }))
const name = fc.oneof(
  fc.constantFrom(
    'session-49.0.json',
    'session-x.json',
    'pre-key-7.json',
    'pre-key-99999999.json',
    'sender-key-a--b--0.json',
    'sender-key-memory-4-5@x.json',
    'tctoken-__index.json',
    'lid-mapping-1.json',
    '__proto__',
    'constructor.json',
    'CREDS.json',
  ),
  fc.string({ maxLength: 300 }),
)
/** Credentials of which any field may be anything. */
const brokenCreds = fc
  .tuple(
    fc.constantFrom(...Object.keys(LINKED)),
    fc.anything({ withDate: false, withBigInt: false, withNullPrototype: false }),
  )
  .map(([field, value]) => ({ ...LINKED, [field]: value }))

describe('F3: a folder', () => {
  test('that is whole is taken', async () => {
    expect(await outcome(goodFolder(), asFolder(true))).toBe('taken')
    expect(await outcome(goodFolder(), asFolder(false))).toBe('taken')
  })

  test('of any names and contents is taken or refused', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(name, content),
        fc.boolean(),
        fc.boolean(),
        async (files, good, clean) => {
          const bytes = good ? goodFolder(files) : folder(files)
          expect(['taken', 'bad_import']).toContain(await outcome(bytes, asFolder(clean)))
        },
      ),
      { numRuns: 300 },
    )
  })

  test('with any field of its credentials exchanged is taken or refused', async () => {
    await fc.assert(
      fc.asyncProperty(brokenCreds, fc.boolean(), async (creds, clean) => {
        const bytes = goodFolder({ 'creds.json': stringifyBufferJson(creds) })
        expect(['taken', 'bad_import']).toContain(await outcome(bytes, asFolder(clean)))
      }),
      { numRuns: 300 },
    )
  })

  test('that is none at all is refused', async () => {
    const any = fc.oneof(
      fc.uint8Array(),
      json.map((text) => Buffer.from(text)),
      json.map((text) => Buffer.from(`{"files":${text}}`)),
    )
    await fc.assert(
      fc.asyncProperty(any, async (bytes) => {
        expect(await outcome(bytes, asFolder(false))).toBe('bad_import')
      }),
      { numRuns: 300 },
    )
  })

  test.for<[what: string, files: Record<string, string>]>([
    ['with torn credentials', { 'creds.json': `{"noiseKey":{"private":"${MARK}` }],
    ['with credentials that are a text', { 'creds.json': `"${MARK}"` }],
    [
      'with a file name as long as a file',
      { [`a${'x'.repeat(200_000)}`]: '{}', [`a${'X'.repeat(200_000)}`]: '{}' },
    ],
    ['of a million empty lists', { 'creds.json': `[${'[],'.repeat(1_000_000)}[]]` }],
    ['nested a hundred thousand deep', { 'creds.json': '['.repeat(100_000) }],
  ])('%s is refused', async ([, files]) => {
    expect(await outcome(goodFolder(files), asFolder(false))).toBe('bad_import')
  })

  test('with a file of a million empty lists goes without that file', async () => {
    const files = { 'session-49.0.json': `{"a":[${'[],'.repeat(1_000_000)}[]]}` }
    const { records, warnings } = await readImport(goodFolder(files), asFolder(true), NOW)
    expect(records.get('session/49.0')).toBeUndefined()
    expect(warnings).toEqual(['session-49.0.json: not readable; left out'])
  })
})

describe('F3: a bundle whose maker knows the passphrase', () => {
  test('that is whole is taken', async () => {
    const bytes = await bundleOf({}, [chunk(goodRecords())])
    expect(await outcome(bytes, asBundle(true))).toBe('taken')
    expect(await outcome(bytes, asBundle(false))).toBe('taken')
  })

  const value = fc.oneof(fc.anything({ withBigInt: true }), fc.uint8Array(), fc.constant(MARK))
  const records = fc.array(
    fc.tuple(
      fc.oneof(fc.constantFrom(CREDS_KEY, 'session/49.0', 'pre-key/7', 'sender-key/a::b::0'), fc.string()),
      value.map((any) => encodeCbor(any)),
    ),
  )

  test('of any records, and any frames, is taken or refused', async () => {
    const frame = fc.oneof(
      fc.uint8Array(),
      fc.anything().map((any) => chunk(any)),
      records.map((pairs) => chunk(pairs.flat())),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(frame, { maxLength: 4 }),
        fc.boolean(),
        fc.boolean(),
        async (frames, good, clean) => {
          const bytes = await bundleOf({}, good ? [chunk(goodRecords()), ...frames] : frames)
          expect(['taken', 'bad_import']).toContain(await outcome(bytes, asBundle(clean)))
        },
      ),
      { numRuns: 200 },
    )
  })

  test('of any meta is taken or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.anything(), async (meta) => {
        const bytes = await bundleOf(meta, [chunk(goodRecords())])
        expect(['taken', 'bad_import']).toContain(await outcome(bytes, asBundle(true)))
      }),
      { numRuns: 100 },
    )
  })

  test('with any field of its credentials exchanged is taken or refused', async () => {
    await fc.assert(
      fc.asyncProperty(brokenCreds, fc.boolean(), async (creds, clean) => {
        const bytes = await bundleOf({}, [chunk([...goodRecords().slice(2), CREDS_KEY, encodeCbor(creds)])])
        expect(['taken', 'bad_import']).toContain(await outcome(bytes, asBundle(clean)))
      }),
      { numRuns: 200 },
    )
  })

  /** CBOR of a list with so many empty lists in it; some kilobytes once they are compressed. */
  const lists = (count: number): Buffer => {
    const head = Buffer.of(0x9a, 0, 0, 0, 0)
    head.writeUInt32BE(count, 1)
    return Buffer.concat([head, Buffer.alloc(count, 0x80)])
  }
  const pairs = (count: number): Buffer => {
    const head = Buffer.of(0x9a, 0, 0, 0, 0)
    head.writeUInt32BE(2 * count, 1)
    return Buffer.concat([head, Buffer.alloc(2 * count, Buffer.of(0x60, 0x40))])
  }
  test.for<[what: string, frames: () => Uint8Array[]]>([
    ['2 KB that unfold to sixty million lists', () => [zstdCompressSync(lists(60_000_000))]],
    [
      'frames of millions of records without a name',
      () => Array.from({ length: 20 }, () => zstdCompressSync(pairs(1_500_000))),
    ],
    ['a record of sixty million lists', () => [chunk([...goodRecords(), 'session/49.0', lists(60_000_000)])]],
    [
      'a length of two to the 64th',
      () => [zstdCompressSync(Buffer.of(0x9b, 255, 255, 255, 255, 255, 255, 255, 255))],
    ],
    ['a list in a list in a list', () => [zstdCompressSync(Buffer.alloc(1_000_000, 0x81))]],
    ['more than a chunk may unfold to', () => [zstdCompressSync(Buffer.alloc(80_000_000))]],
  ])('of %s is refused, and nothing of it is built', async ([, frames]) => {
    const bytes = await bundleOf({}, frames())
    const before = process.memoryUsage().heapUsed
    expect(await outcome(bytes, asBundle(false))).toBe('bad_import')
    // Sixty million lists would be a gigabyte and more.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(200 * 1024 * 1024)
  })
})

test('the fence takes any record that can be decoded, so that what was once imported can always be restored', () => {
  const session = fc.oneof(
    fc.anything(),
    fc.record({
      _sessions: fc.oneof(
        fc.anything(),
        fc.dictionary(fc.string(), fc.oneof(fc.anything(), fc.record({ indexInfo: fc.anything() }))),
      ),
    }),
  )
  fc.assert(
    fc.property(brokenCreds, session, (creds, any) => {
      const records = new RecordMap()
      records.set(CREDS_KEY, encodeCbor(creds))
      records.set('session/49.0', encodeCbor(any))
      ratchetFence(records, CREDS_KEY, NOW)
    }),
    { numRuns: 500 },
  )
})
