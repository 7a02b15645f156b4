import { CodedError } from '../errors.ts'
import { splitKey, type LifeId, type SessionKey } from '../ids.ts'
import type { DataKey, Session, Status, Want } from '../session.ts'
import { bytesOf } from './database.ts'

/**
 * `sessions/{tenant}~{session}`, named by the session's name because listings are in its order, and a name has one record. No field is ever written but by its
 * own writer, by field mask, and only while the document is as it was read:
 *
 * | field | written by | holds |
 * | life | control | whose record it is; absent for a session of before there were lives |
 * | want | control | the want, whole, with its generation |
 * | wantNonces | control | the nonces of the last changes, newest last: a repeat of one of them changes nothing |
 * | status | owner | the status, whole, with the epoch it was written under |
 * | dataKeys | runner | wrapped data keys, oldest first |
 * | createdBy | control | the nonce of the creation |
 * | createdAt, updatedAt | | milliseconds since 1970 |
 */
export interface SessionDocument {
  life?: LifeId
  want: Want
  wantNonces: string[]
  status?: Status
  dataKeys: DataKey[]
  createdBy: string
  createdAt: number
  updatedAt: number
}

/** A repeat comes within one request's retries; nobody changes one want more often than this meanwhile. */
const NONCES_KEPT = 16

export const withNonce = (nonces: readonly string[], nonce: string): string[] => [
  ...nonces.slice(1 - NONCES_KEPT),
  nonce,
]

export function toSession(name: string, stored: SessionDocument): Session {
  const { tenant, session } = splitKey(name as SessionKey)
  return {
    tenant,
    id: session,
    ...(stored.life !== undefined && { life: stored.life }),
    want: stored.want,
    ...(stored.status && { status: stored.status }),
    dataKeys: stored.dataKeys.map(toDataKey),
    createdAt: stored.createdAt,
    updatedAt: stored.updatedAt,
  }
}

export const toDataKey = (dataKey: DataKey): DataKey => ({ ...dataKey, wrapped: bytesOf(dataKey.wrapped) })

/** The document as far as it is of that life. */
export const ofLife = (stored: SessionDocument | undefined, key: SessionKey): SessionDocument | undefined =>
  stored && stored.life === splitKey(key).life ? stored : undefined

export function present(stored: SessionDocument | undefined, key: SessionKey): SessionDocument {
  const found = ofLife(stored, key)
  if (!found) throw new CodedError('not_found', `no session ${key}`)
  return found
}

export const sameDataKey = (a: DataKey | undefined, b: DataKey): boolean =>
  a !== undefined && a.keyVersion === b.keyVersion && Buffer.from(a.wrapped).equals(b.wrapped)
