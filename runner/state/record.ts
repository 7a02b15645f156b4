import { decodeCbor, encodeCbor } from '#shared/cbor.ts'

/**
 * A record is one value of a session's Signal state, kept as bytes under `type/id`. No type contains a slash, so the
 * first one separates.
 */
export const recordKey = (type: string, id: string): string => `${type}/${id}`

export function splitRecordKey(key: string): { type: string; id: string } {
  const at = key.indexOf('/')
  return { type: key.slice(0, at), id: key.slice(at + 1) }
}

/** The credentials are one record among the others. */
export const CREDS_KEY = recordKey('creds', '')

/**
 * Types whose loss costs a look-up and nothing else: they are re-learned by usync, or (sender-key-memory) lead to one more
 * distribution of a key. They ride along with the next entry and never make `set` wait.
 */
const LAZY_TYPES: ReadonlySet<string> = new Set(['device-list', 'lid-mapping', 'sender-key-memory'])
export const isLazy = (type: string): boolean => LAZY_TYPES.has(type)

/** Protobuf objects become what their `toJSON` gives (bytes as base64, which their `fromObject` accepts again). */
function plain(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(plain)
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return (value as { toJSON(): unknown }).toJSON()
  const fields: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(value)) if (field !== undefined) fields[name] = plain(field)
  return fields
}

/** True for what `plain` would only copy, as nearly everything that Baileys stores: looking costs a fraction of copying. */
function isPlain(value: unknown): boolean {
  if (value === null || typeof value !== 'object') return value !== undefined
  if (value instanceof Uint8Array) return true
  if (Array.isArray(value)) return value.every(isPlain)
  if (Object.getPrototypeOf(value) !== Object.prototype || 'toJSON' in value) return false
  return Object.values(value).every(isPlain)
}

/** A copy of the value as bytes: later changes of the object do not reach the store. */
export const encodeValue = (value: unknown): Uint8Array => encodeCbor(isPlain(value) ? value : plain(value))

/** A fresh copy each time: the caller may change it. @throws CodedError `bad_bytes` */
export const decodeValue = (bytes: Uint8Array): unknown => decodeCbor(bytes)
