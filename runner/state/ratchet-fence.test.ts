import { describe, expect, test } from 'vitest'
import { ratchetFence, liftCounters } from './ratchet-fence.ts'
import { CREDS_KEY, decodeValue, encodeValue } from './record.ts'
import { RecordMap } from './record-map.ts'
import { credsRecord } from './testing.ts'

const NOW = 1_790_000_000_000
const ME = '491701234567'

function stateOf(values: Record<string, unknown>, creds = credsRecord()): RecordMap {
  const records = new RecordMap()
  records.set(CREDS_KEY, creds)
  for (const [key, value] of Object.entries(values)) records.set(key, encodeValue(value))
  return records
}

function fenced(records: RecordMap): Record<string, unknown> {
  for (const [key, value] of ratchetFence(records, CREDS_KEY, NOW)) records.set(key, value)
  return Object.fromEntries([...records.entries()].map(([key, value]) => [key, decodeValue(value)]))
}

const session = (closed: number, chain = 'kept') => ({ registrationId: 1, chain, indexInfo: { closed } })

describe('the fence', () => {
  test('closes open sending sessions and deletes none, so that old messages still decrypt', () => {
    const old = { version: 'v1', _sessions: { a: session(-1), b: session(1_700_000_000_000) } }
    const after = fenced(
      stateOf({ 'session/492.0': old, 'session/493_1.7': { version: 'v1', _sessions: {} } }),
    )
    expect(after['session/492.0']).toEqual({
      version: 'v1',
      _sessions: { a: session(NOW), b: session(1_700_000_000_000) },
    })
    expect(after['session/493_1.7']).toEqual({ version: 'v1', _sessions: {} })
  })

  test('drops our own sender keys under the phone number and the LID, and keeps those of others', () => {
    const group = '120363@g.us'
    const own = [`${group}::${ME}::5`, `${group}::9001_1::5`, `1555-1500@g.us::${ME}::5`]
    const others = [`${group}::${ME}::6`, `${group}::${ME}::0`, `${group}::9002_1::5`, `${group}::492::5`]
    const after = fenced(
      stateOf(Object.fromEntries([...own, ...others].map((id) => [`sender-key/${id}`, Buffer.from('x')]))),
    )
    const left = Object.keys(after).filter((key) => key.startsWith('sender-key/'))
    expect(left.toSorted()).toEqual(others.map((id) => `sender-key/${id}`).toSorted())
  })

  test('knows our device under the LID even where the LID has none', () => {
    const creds = credsRecord({ me: { id: `${ME}:5@s.whatsapp.net`, lid: '9001@lid' } })
    const records = stateOf({ 'sender-key/g@g.us::9001_1::5': Buffer.from('x') }, creds)
    expect(fenced(records)).not.toHaveProperty('sender-key/g@g.us::9001_1::5')
  })

  test('forgets who knows our sender keys, everywhere', () => {
    const after = fenced(
      stateOf({ 'sender-key-memory/1@g.us': { a: true }, 'sender-key-memory/status@broadcast': {} }),
    )
    expect(Object.keys(after)).toEqual([CREDS_KEY])
  })

  test('raises both counters by more than an upload batch above everything that was ever offered', () => {
    const after = fenced(stateOf({ 'pre-key/30': {}, 'pre-key/812': {} }, credsRecord({ nextPreKeyId: 31 })))
    expect(after[CREDS_KEY]).toMatchObject({ nextPreKeyId: 1813, firstUnuploadedPreKeyId: 1813 })
  })

  test('raises them by the same margin again and again, not by more each time', () => {
    const records = stateOf({ 'pre-key/812': {} }, credsRecord({ nextPreKeyId: 813 }))
    fenced(records)
    fenced(records)
    expect(fenced(records)[CREDS_KEY]).toMatchObject({ nextPreKeyId: 813 + 3_000 })
  })

  test('starts the ids again at 1 after the last that fits on the wire', () => {
    const after = fenced(stateOf({}, credsRecord({ nextPreKeyId: 0xff_ff_f0 })))
    expect(after[CREDS_KEY]).toMatchObject({ nextPreKeyId: 1, firstUnuploadedPreKeyId: 1 })
  })

  test('leaves everything else as it is', () => {
    const kept = {
      'app-state-sync-key/AA': { keyData: 'x' },
      'app-state-sync-version/critical_block': { version: 3 },
      'device-list/492': ['0'],
      'identity-key/492.0': Buffer.from('i'),
      'lid-mapping/492': '9002',
      'pre-key/30': { public: Buffer.of(1), private: Buffer.of(2) },
      'tctoken/__index': { token: Buffer.of(3) },
    }
    const { [CREDS_KEY]: creds, ...after } = fenced(stateOf(kept))
    expect(after).toEqual(kept)
    const { nextPreKeyId: _, firstUnuploadedPreKeyId: __, ...others } = creds as Record<string, unknown>
    expect(others).toEqual({ me: expect.anything(), account: expect.anything() })
  })

  test('is pure: it changes nothing itself, and a second look says the same', () => {
    const records = stateOf({ 'session/1.0': { _sessions: { a: session(-1) } } })
    expect(ratchetFence(records, CREDS_KEY, NOW)).toEqual(ratchetFence(records, CREDS_KEY, NOW))
    expect(records.overBytes).toBe(stateOf({ 'session/1.0': { _sessions: { a: session(-1) } } }).overBytes)
  })

  test('a state without credentials has nothing to fence', () => {
    expect(ratchetFence(new RecordMap(), CREDS_KEY, NOW)).toEqual([])
  })
})

describe('liftCounters', () => {
  test('raises counters that lie below a stored pre-key, and only those', () => {
    const [change] = liftCounters(stateOf({ 'pre-key/40': {}, 'pre-key/9': {} }), CREDS_KEY)
    expect(decodeValue(change?.[1] as Uint8Array)).toMatchObject({
      nextPreKeyId: 41,
      firstUnuploadedPreKeyId: 41,
    })
    expect(liftCounters(stateOf({ 'pre-key/30': {} }), CREDS_KEY)).toEqual([])
    expect(liftCounters(new RecordMap(), CREDS_KEY)).toEqual([])
  })
})
