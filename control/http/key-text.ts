import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { ApiKey } from '#shared/store/api-key-store.ts'

const RANDOM_LENGTH = 22 // 62^22 > 2^130
const MAC_LENGTH = 21 // 62^21 > 2^125
const BASE62 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

export const sha256Hex = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex')

/** What a key may do, on what, and until when. The key itself carries a MAC of it. */
export type Grant = Pick<ApiKey, 'tenant' | 'scopes' | 'sessions' | 'expiresAt'>

/**
 * A new key: `moor_{id}_{random}{mac}`. The id in front lets people and audit trails tell keys apart. The end is a MAC over
 * the rest and what it is good for, under a pepper that control alone has: runners can write every record of the database, and
 * a record that one of them made or changed is of no use without a key that carries the right MAC.
 */
export function mintKey(
  pepper: string,
  id: string,
  grant: Grant,
): { key: string; prefix: string; sha256: string } {
  const prefix = `moor_${id}`
  let random = ''
  while (random.length < RANDOM_LENGTH) random += base62(randomBytes(RANDOM_LENGTH))
  const unmarked = `${prefix}_${random.slice(0, RANDOM_LENGTH)}`
  const key = unmarked + macOf(pepper, unmarked, grant)
  return { key, prefix, sha256: sha256Hex(key) }
}

/** Whether control made this key for just this. */
export function hasMac(pepper: string, key: string, grant: Grant): boolean {
  const mac = macOf(pepper, key.slice(0, -MAC_LENGTH), grant)
  const given = Buffer.from(key.slice(-MAC_LENGTH))
  return given.length === mac.length && timingSafeEqual(given, Buffer.from(mac))
}

/** Keys that were made before there were named sessions and an end are marked without them, and stay good. */
function macOf(pepper: string, unmarked: string, { tenant, scopes, sessions, expiresAt }: Grant): string {
  const isBounded = sessions !== undefined || expiresAt !== undefined
  const bounds = isBounded ? [sessions?.toSorted() ?? null, expiresAt ?? null] : []
  const text = JSON.stringify([unmarked, tenant ?? null, scopes.toSorted(), ...bounds])
  return base62(createHmac('sha512', pepper).update(text).digest()).slice(0, MAC_LENGTH)
}

/** Bytes of 248 and more are thrown away, so that every character is equally likely. */
const base62 = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => (byte < 248 ? BASE62[byte % 62] : '')).join('')
