import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { OpenKey } from '#shared/envelope.ts'
import type { SessionKey } from '#shared/ids.ts'
import { exportBundle } from '#runner/state/bundle.ts'
import type { EntryBody } from '#runner/state/entry.ts'
import { encodeValue } from '#runner/state/record.ts'
import { RecordMap } from '#runner/state/record-map.ts'
import { sealEntry } from '#runner/state/sealed-entry.ts'
import { snapshotParts } from '#runner/state/snapshot-file.ts'

/**
 * What the golden files hold: bytes as some version of Mooring wrote them, each named after the version of its format. They
 * load for ever. `node test/golden/golden.ts` makes those that are missing, as a new version of a format needs them, and
 * never touches one that is there.
 */
const DIR = import.meta.dirname

const PLACE = { key: 'acme~golden' as SessionKey, epoch: 3, seq: 14 }
const DATA_KEY: OpenKey = { id: 'golden01', bytes: Buffer.alloc(32, 'a fixed data key') }
const PASSPHRASE = 'correct horse battery staple'
/** Of the entry before that of the golden files, and of the entry at their seq. */
const FOLLOWS = '00112233445566778899aabbccddeeff'
const MAC = 'ffeeddccbbaa99887766554433221100'
const META = { session: 'golden', exportedAt: 1_790_000_000_000 }

const chains = (count: number): object => ({
  version: 'v1',
  _sessions: Object.fromEntries(
    Array.from({ length: count }, (_, at) => [`chain-${at}`, { counter: at, indexInfo: { closed: -1 } }]),
  ),
})

const STATE: Record<string, Uint8Array> = {
  'creds/': encodeValue({ me: { id: '491700000000:5@s.whatsapp.net' }, nextPreKeyId: 31 }),
  'pre-key/7': encodeValue({ public: Buffer.alloc(32, 1), private: Buffer.alloc(32, 2) }),
  'session/491700000001.0': encodeValue(chains(40)),
  ...Object.fromEntries(
    Array.from({ length: 120 }, (_, at) => [`tctoken/${at}`, encodeValue(Buffer.alloc(500, `${at}`))]),
  ),
}
const CHANGE: EntryBody = {
  kind: 'change',
  changes: [
    ['session/491700000001.0', encodeValue(chains(41))],
    ['pre-key/7', null],
    ['identity-key/491700000001.0', encodeValue(Buffer.alloc(33, 5))],
  ],
}
const JUMP: EntryBody = { kind: 'jump', changes: [], snapshot: '3-14-abcdefghijklmnop', clean: true }

/** The files as they were made, with what they must load to. */
export const golden = {
  place: PLACE,
  follows: FOLLOWS,
  mac: MAC,
  dataKey: DATA_KEY,
  passphrase: PASSPHRASE,
  meta: META,
  state: STATE,
  change: CHANGE,
  jump: JUMP,
  read: (name: string): Buffer => readFileSync(join(DIR, name)),
}

async function make(): Promise<void> {
  const records = new RecordMap()
  for (const [key, value] of Object.entries(STATE)) records.set(key, value)
  const put = (name: string, parts: string | readonly Uint8Array[]): void => {
    if (existsSync(join(DIR, name))) return
    writeFileSync(join(DIR, name), typeof parts === 'string' ? parts : Buffer.concat(parts), { flag: 'wx' })
  }
  const ring = { current: DATA_KEY, find: () => DATA_KEY, ids: [DATA_KEY.id] }
  const sealed = (body: EntryBody, follows: string | undefined): readonly Uint8Array[] => [
    sealEntry({ ...PLACE, follows }, ring, body, (key) => records.get(key)),
  ]
  // entry-v2.bin, jump-v2.bin and snapshot-v1.bin are of 2026-11, and nothing writes their like any more.
  put('first-v3.bin', sealed(CHANGE, undefined))
  put('entry-v3.bin', sealed(CHANGE, FOLLOWS))
  put('jump-v3.bin', sealed(JUMP, FOLLOWS))
  put('snapshot-v2.bin', [...snapshotParts({ ...PLACE, mac: MAC }, records.repack(), DATA_KEY)])
  const cost = { logN: 4, r: 8, p: 1 }
  put('bundle-v1.bin', await exportBundle({ records, meta: META, passphrase: PASSPHRASE, cost }))
  const dataKey = { id: DATA_KEY.id, hex: Buffer.from(DATA_KEY.bytes).toString('hex') }
  put(
    'golden-v1.json',
    `${JSON.stringify({ place: PLACE, dataKey, passphrase: PASSPHRASE }, undefined, 2)}\n`,
  )
}

if (import.meta.main) await make()
