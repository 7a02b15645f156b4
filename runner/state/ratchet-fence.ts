import { decodeValue, encodeValue, splitRecordKey } from './record.ts'
import type { Change } from './pending-changes.ts'
import type { RecordMap } from './record-map.ts'

/** More than one upload batch of pre-keys (812 in rc14), so that no id that was ever offered gets another key pair. */
const PRE_KEY_MARGIN = 1000
/** Ids are 24 bit on the wire; they start again at 1 after the last. */
const PRE_KEY_ID_MAX = 0xff_ff_ff

interface Creds {
  me?: { id?: string; lid?: string }
  nextPreKeyId?: number
  firstUnuploadedPreKeyId?: number
}

/**
 * What must change before an older state may speak again, so that no ratchet is rewound (docs/facts/baileys.md §2.8):
 * open sending sessions are closed, so the next send starts a fresh ratchet while old ones still decrypt; our own sender
 * keys and who knows them are dropped, so groups get a new key; the pre-key counters jump ahead. Pure.
 */
export function ratchetFence(records: RecordMap, credsKey: string, nowMs: number): Change[] {
  const creds = records.get(credsKey)
  if (!creds) return []
  const open = decodeValue(creds) as Creds
  const own = ownAddresses(open)
  const changes: Change[] = []
  for (const [key, bytes] of records.entries()) {
    const { type, id } = splitRecordKey(key)
    if (type === 'session') {
      const closed = closeSessions(decodeValue(bytes), nowMs)
      if (closed) changes.push([key, encodeValue(closed)])
    } else if (type === 'sender-key' && own.has(id.slice(id.indexOf('::') + 2))) {
      changes.push([key, null])
    } else if (type === 'sender-key-memory') {
      changes.push([key, null])
    }
  }
  changes.push([credsKey, encodeValue(raiseCounters(open, highestPreKey(records) + 1, PRE_KEY_MARGIN))])
  return changes
}

/** The pre-key counters must be above every stored id; answers the change of the credentials where they are not. */
export function liftCounters(records: RecordMap, credsKey: string): Change[] {
  const creds = records.get(credsKey)
  if (!creds) return []
  const open = decodeValue(creds) as Creds
  const highest = highestPreKey(records)
  if (highest < (open.nextPreKeyId ?? 1)) return []
  return [[credsKey, encodeValue(raiseCounters(open, highest + 1))]]
}

function raiseCounters(creds: Creds, atLeast: number, margin = 0): Creds {
  const next = Math.max(creds.nextPreKeyId ?? 1, atLeast) + margin
  const wrapped = next > PRE_KEY_ID_MAX ? 1 : next
  return { ...creds, nextPreKeyId: wrapped, firstUnuploadedPreKeyId: wrapped }
}

function highestPreKey(records: RecordMap): number {
  let highest = 0
  for (const id of records.idsOf('pre-key')) highest = Math.max(highest, Number(id) || 0)
  return highest
}

/** `user::device` as sender keys name their sender, under the phone number and under the LID (`_1` is the LID domain). */
function ownAddresses(creds: Creds): ReadonlySet<string> {
  const address = (jid: string | undefined, domain: string): string[] => {
    const parts = /^(\d+)(?::(\d+))?@/.exec(jid ?? '')
    return parts ? [`${parts[1]}${domain}::${parts[2] ?? '0'}`] : []
  }
  const device = /:(\d+)@/.exec(creds.me?.id ?? '')?.[1]
  const named: unknown = creds.me?.lid
  const lid = (typeof named === 'string' ? named : '').replace(
    /^(\d+)(:\d+)?@/,
    (_, user: string, own?: string) => `${user}${own ?? (device ? `:${device}` : '')}@`,
  )
  return new Set([...address(creds.me?.id, ''), ...address(lid, '_1')])
}

/** libsignal marks an open session with `closed: -1`. */
function closeSessions(record: unknown, nowMs: number): unknown {
  const { _sessions: sessions } = (record ?? {}) as {
    _sessions?: Record<string, { indexInfo?: { closed?: number } | null } | null>
  }
  if (!sessions) return undefined
  let closed = 0
  for (const session of Object.values(sessions)) {
    if (session?.indexInfo?.closed !== -1) continue
    session.indexInfo.closed = nowMs
    closed++
  }
  return closed > 0 ? record : undefined
}
