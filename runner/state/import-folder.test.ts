import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  Curve,
  initAuthCreds,
  proto,
  useMultiFileAuthState as multiFileAuthState,
  type AuthenticationCreds,
  type SignalDataSet,
  type SignalDataTypeMap,
} from '@whiskeysockets/baileys'
import { describe, expect, test } from 'vitest'
import { parseBufferJson } from './buffer-json.ts'
import { checkState } from './check.ts'
import { recordOfFile } from './folder-names.ts'
import { importFolder } from './import-folder.ts'
import { CREDS_KEY, decodeValue } from './record.ts'
import type { RecordMap } from './record-map.ts'
import { SenderKeyRecord } from '../whatsapp/library/library.fixture.ts'
import { bytes } from './testing.ts'

const NOW = 1_790_000_000_000
const CLEAN = { cleanlyStopped: true }
const ME = '491701234567:5@s.whatsapp.net'
const random = (length: number): Buffer => Buffer.from(crypto.getRandomValues(new Uint8Array(length)))

function linkedCreds(): AuthenticationCreds {
  return {
    ...initAuthCreds(),
    me: { id: ME, lid: '9001:5@lid', name: 'Ann' },
    account: proto.ADVSignedDeviceIdentity.fromObject({
      details: random(20),
      accountSignatureKey: random(32),
      accountSignature: random(64),
      deviceSignature: random(64),
    }),
    nextPreKeyId: 813,
    firstUnuploadedPreKeyId: 813,
    routingInfo: random(8),
    processedHistoryMessages: [],
  }
}

const sessionRecord = () => ({
  version: 'v1',
  _sessions: { [random(33).toString('base64')]: { registrationId: 7, indexInfo: { closed: -1, used: 1 } } },
})
const pair = () => {
  const { public: open, private: secret } = Curve.generateKeyPair()
  return { public: Buffer.from(open), private: Buffer.from(secret) }
}
const appStateKey = () =>
  proto.Message.AppStateSyncKeyData.fromObject({
    keyData: random(32),
    fingerprint: { rawId: 7, currentIndex: 1, deviceIndexes: [0, 1] },
    timestamp: 1_790_000_000,
  })

/**
 * Every type, with every odd id (docs/facts/baileys.md §11). Sessions are really plain objects, whatever their type says.
 */
const everything = (): SignalDataSet => ({
  'pre-key': { '1': pair(), '812': pair(), '16777214': pair() },
  session: {
    '491701234568.0': sessionRecord() as unknown as Uint8Array,
    '9001_1.5': sessionRecord() as unknown as Uint8Array,
    '49_128.0': sessionRecord() as unknown as Uint8Array,
    '9_129.3': sessionRecord() as unknown as Uint8Array,
  },
  'sender-key': {
    '120363@g.us::491701234568::7': bytes('[{"senderKeyId":1}]'),
    '1555-1500@g.us::9002_1::0': bytes('[]'),
    'status@broadcast::49::12': bytes('[]'),
  },
  'sender-key-memory': {
    '120363@g.us': { '49:1@s.whatsapp.net': true },
    '1555-1500@g.us': { '49@s.whatsapp.net': true, '9:3@lid': false },
    'status@broadcast': {},
    '1555-1500@broadcast': {},
    '491701234568:5@s.whatsapp.net': {},
  },
  'app-state-sync-key': { 'AAAAAFc/': appStateKey(), 'AA+B/C==': appStateKey(), '//8=': appStateKey() },
  'app-state-sync-version': {
    critical_block: { version: 3, hash: random(128), indexValueMap: {} },
    critical_unblock_low: {
      version: 1,
      hash: random(128),
      indexValueMap: { 'ab/+=': { valueMac: random(32) } },
    },
    regular_high: { version: 0, hash: random(128), indexValueMap: {} },
    regular_low: { version: 9, hash: random(128), indexValueMap: {} },
    regular: { version: 2, hash: random(128), indexValueMap: {} },
  },
  'lid-mapping': { '491701234568': '9002', '9002_reverse': '491701234568' },
  'device-list': { '491701234568': ['0', '7'] },
  tctoken: {
    '491701234568@s.whatsapp.net': { token: random(16), timestamp: '1790000000' },
    '491701234568:5@s.whatsapp.net': { token: random(16), senderTimestamp: 1_790_000_000 },
    '9002@lid': { token: random(16) },
    __index: { token: random(20) },
  },
  'identity-key': { '491701234568.0': random(33), '9001_1.5': random(33) },
})

/** A folder as Baileys writes it, and what Baileys reads from it. */
async function baileysFolder(data: SignalDataSet, creds = linkedCreds()) {
  const folder = await mkdtemp(join(tmpdir(), 'mooring-folder-'))
  try {
    const { state, saveCreds } = await multiFileAuthState(folder)
    Object.assign(state.creds, creds)
    await saveCreds()
    await state.keys.set(data)
    const again = (await multiFileAuthState(folder)).state
    const read: Record<string, unknown> = { [CREDS_KEY]: again.creds }
    for (const [type, values] of Object.entries(data)) {
      const ids = Object.keys(values ?? {})
      const found = await again.keys.get(type as keyof SignalDataTypeMap, ids)
      for (const id of ids) read[`${type}/${id}`] = plain(found[id])
    }
    const files = new Map<string, Uint8Array>()
    for (const name of await readdir(folder)) files.set(name, await readFile(join(folder, name)))
    return { files, read }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Protobuf objects as their fields, since a record holds these. */
const plain = (value: unknown): unknown =>
  value instanceof proto.Message.AppStateSyncKeyData ? value.toJSON() : value

const decoded = (records: RecordMap): Record<string, unknown> =>
  Object.fromEntries([...records.entries()].map(([key, value]) => [key, decodeValue(value)]))

const file = (value: unknown): Buffer => bytes(typeof value === 'string' ? value : JSON.stringify(value))
const credsFile = (more: Record<string, unknown> = {}): [string, Buffer] => [
  'creds.json',
  file({ me: { id: ME }, account: { accountSignature: 'AAAA' }, nextPreKeyId: 31, ...more }),
]
const bad = expect.objectContaining({ code: 'bad_import' })

describe('importing a folder', () => {
  test('C4 gives every value of every type that Baileys itself would read, odd ids and all', async () => {
    const { files, read } = await baileysFolder(everything())
    const { records, warnings } = importFolder(files, CLEAN, NOW)
    expect(warnings).toEqual([])
    const { nextPreKeyId: _, firstUnuploadedPreKeyId: __, ...creds } = read[CREDS_KEY] as AuthenticationCreds
    const stored = decoded(records)
    expect(Object.keys(stored).toSorted()).toEqual(Object.keys(read).toSorted())
    expect(stored[CREDS_KEY]).toMatchObject(creds)
    expect({ ...stored, [CREDS_KEY]: 0 }).toEqual({ ...read, [CREDS_KEY]: 0 })
    expect(checkState(records)).toEqual({ valid: true, problems: [] })
  })

  test('raises the counters above every stored pre-key, and leaves a cleanly stopped state otherwise alone', async () => {
    const { files } = await baileysFolder({ 'pre-key': { '900': pair() }, ...sessionOnly() })
    const { records } = importFolder(files, CLEAN, NOW)
    const stored = decoded(records)
    expect(stored[CREDS_KEY]).toMatchObject({ nextPreKeyId: 901, firstUnuploadedPreKeyId: 901 })
    expect(stored['session/49.0']).toMatchObject(openSession(-1))
  })

  test('fences what may have gone on after the copy was made', async () => {
    const own = { '120363@g.us::491701234567::5': bytes('[]'), '120363@g.us::9001_1::5': bytes('[]') }
    const { files } = await baileysFolder({
      ...sessionOnly(),
      'sender-key': { ...own, '120363@g.us::49::0': bytes('[]') },
      'sender-key-memory': { '120363@g.us': {} },
    })
    const stored = decoded(importFolder(files, { cleanlyStopped: false }, NOW).records)
    expect(Object.keys(stored)).toEqual([CREDS_KEY, 'sender-key/120363@g.us::49::0', 'session/49.0'])
    expect(stored['session/49.0']).toEqual(openSession(NOW))
    expect(stored[CREDS_KEY]).toMatchObject({ nextPreKeyId: 1813 })
  })

  test('converts sender keys of 6.x so that rc14 reads the same state, seed and key', () => {
    const seed = random(32)
    const signing = { public: random(33), private: random(32) }
    const state = {
      senderKeyId: 77,
      senderChainKey: { iteration: 4, seed: mark(seed) },
      senderSigningKey: { public: mark(signing.public), private: mark(signing.private) },
      senderMessageKeys: [{ iteration: 2, seed: mark(random(32)) }],
    }
    const files = new Map([credsFile(), ['sender-key-120363@g.us--49--0.json', file([state])]] as const)
    const { records, warnings } = importFolder(files, CLEAN, NOW)
    expect(warnings).toEqual([])
    const value = decodeValue(records.get('sender-key/120363@g.us::49::0') ?? Buffer.alloc(0)) as Buffer
    const read = SenderKeyRecord.deserialize(value).getSenderKeyState(77)
    expect(read?.getSenderChainKey().getIteration()).toBe(4)
    expect(Buffer.from(read?.getSenderChainKey().getSeed() ?? [])).toEqual(seed)
    expect(Buffer.from(read?.getSigningKeyPublic() ?? [])).toEqual(signing.public)
    expect(Buffer.from(read?.getSigningKeyPrivate() ?? [])).toEqual(signing.private)
  })

  test('leaves out what it can’t use, with a warning that shows no phone number', () => {
    const files = new Map<string, Uint8Array>([
      credsFile(),
      ['session-491701234568.0.json', file('{"version":"v1","_sess')],
      ['session-491701234569.0.json', file('')],
      ['pre-key-7.json', file({ public: 'no', private: 'bytes' })],
      ['pre-key-x.json', file({ public: mark(random(32)), private: mark(random(32)) })],
      ['sender-key-nonsense.json', file('"AAAA"')],
      ['device-list-49.json', file('null')],
      ['identity-key-49.0.json', Buffer.from([0xff, 0xfe])],
      ['baileys_store.json', file('{}')],
      ['.DS_Store', file('x')],
      ['lid-mapping-49.json', file('"9002"')],
    ])
    const { records, warnings } = importFolder(files, CLEAN, NOW)
    expect(Object.keys(decoded(records))).toEqual([CREDS_KEY, 'lid-mapping/49'])
    expect(warnings).toHaveLength(9)
    expect(warnings.join(' ')).toMatch(/session-49••••••••68.*not readable.*session-49••••••••69.*empty/)
    expect(warnings.join(' ')).not.toMatch(/\d{7}/)
  })

  test('tells of the first of many only', () => {
    const junk = Array.from({ length: 80 }, (_, at) => [`junk-${at}`, file('x')] as const)
    const { warnings } = importFolder(new Map([credsFile(), ...junk]), CLEAN, NOW)
    expect(warnings).toHaveLength(51)
    expect(warnings.at(-1)).toBe('and 30 more')
  })

  test.for([
    ['no credentials', new Map([['pre-key-1.json', file('{}')]])],
    ['empty credentials', new Map([['creds.json', file('')]])],
    ['torn credentials', new Map([['creds.json', file('{"me":{"id":"49')]])],
    ['credentials that are nothing', new Map([['creds.json', file('null')]])],
    ['credentials of a device that is not linked', new Map([credsFile({ account: undefined })])],
    ['credentials of a code that nobody typed', new Map([credsFile({ me: { id: '49@s.whatsapp.net' } })])],
    [
      'names that differ in case only',
      new Map([
        credsFile(),
        ['app-state-sync-key-AAAa.json', file({ keyData: 'x' })],
        ['app-state-sync-key-AAAA.json', file({ keyData: 'y' })],
      ]),
    ],
    [
      'two names of one record',
      new Map([
        credsFile(),
        ['tctoken-49-5@lid.json', file({ token: 'x' })],
        ['tctoken-49:5@lid.json', file({ token: 'y' })],
      ]),
    ],
  ] as const)('B4 %s: the folder is refused', ([, files]) => {
    expect(() => importFolder(files, CLEAN, NOW)).toThrow(bad)
  })
})

describe('names of files', () => {
  test.for([
    ['app-state-sync-key-AAAAAFc__.json', 'app-state-sync-key/AAAAAFc/'],
    ['app-state-sync-version-critical_block.json', 'app-state-sync-version/critical_block'],
    ['sender-key-memory-1555-1500@g.us.json', 'sender-key-memory/1555-1500@g.us'],
    ['sender-key-memory-49-5@s.whatsapp.net.json', 'sender-key-memory/49:5@s.whatsapp.net'],
    ['sender-key-1555-1500@g.us--9001_1--0.json', 'sender-key/1555-1500@g.us::9001_1::0'],
    ['tctoken-__index.json', 'tctoken/__index'],
    ['tctoken-49-5@lid.json', 'tctoken/49:5@lid'],
    ['lid-mapping-9002_reverse.json', 'lid-mapping/9002_reverse'],
    ['session-.json', undefined],
    ['sender-key-120363@g.us.json', undefined],
    ['pre-key--1.json', undefined],
    ['session-49.0.json.bak', undefined],
    [`session-${'4'.repeat(300)}.json`, undefined],
    ['creds.json', undefined],
  ])('%s is %s', ([name, key]) => {
    const record = recordOfFile(name as string)
    expect(record && `${record.type}/${record.id}`).toBe(key)
  })
})

describe('JSON as Baileys writes it', () => {
  test('is read by its rules, hazards included', () => {
    expect(parseBufferJson('{"type":"Buffer","data":"AQI="}')).toEqual(Buffer.of(1, 2))
    expect(parseBufferJson('{"0":1,"1":255}')).toEqual(Buffer.of(1, 255))
    expect(parseBufferJson('{"12abc":7}')).toEqual(Buffer.of(7))
    expect(parseBufferJson('{"0":"1"}')).toEqual({ '0': '1' })
    expect(parseBufferJson('{}')).toEqual({})
    expect(parseBufferJson('[1,2]')).toEqual([1, 2])
    expect(parseBufferJson('{"type":"Buffer"}')).toEqual({ type: 'Buffer' })
  })

  test('takes bytes as a list of numbers too, as versions without a replacer wrote them', () => {
    expect(parseBufferJson('{"key":{"type":"Buffer","data":[1,2]}}')).toEqual({ key: Buffer.of(1, 2) })
  })
})

const mark = (value: Buffer) => ({ type: 'Buffer', data: value.toString('base64') })
const openSession = (closed: number) => ({ version: 'v1', _sessions: { a: { indexInfo: { closed } } } })
const sessionOnly = (): SignalDataSet => ({ session: { '49.0': openSession(-1) as unknown as Uint8Array } })
