import { createHash } from 'node:crypto'
import { FieldPath, type Query } from '@google-cloud/firestore'
import type { SessionKey } from '../ids.ts'

/**
 * Names of documents. Neighbouring names live on one server, so names that grow with time or share a beginning make it
 * hot (docs/facts/google-cloud.md §2.1). Each name begins with a short hash of its session: a session's documents stay
 * together, in order, and sessions spread out.
 */
const HASH_DIGITS = 8
/** The character after `~`, which no name contains: the end of everything that begins with a key. */
const AFTER_TILDE = '\x7f'

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Any text as a name: a slash would start a subcollection. */
export const safe = (text: string): string => encodeURIComponent(text)

export const spread = (name: string): string => `${sha256(name).slice(0, HASH_DIGITS)}~${name}`

/** The name of something of a session. */
export const documentId = (key: SessionKey, id: string): string => `${spread(key)}~${safe(id)}`

/** All documents of a session, ascending by the rest of their names. Needs no index of its own. */
export const ofSession = (query: Query, key: SessionKey): Query =>
  between(query, `${spread(key)}~`, `${spread(key)}${AFTER_TILDE}`)

/** Documents whose names are in `[from, before)`. */
export const between = (query: Query, from: string, before: string): Query =>
  query
    .where(FieldPath.documentId(), '>=', from)
    .where(FieldPath.documentId(), '<', before)
    .orderBy(FieldPath.documentId())

/** Sessions of a tenant, by key; session names are not hashed because they are listed in their order. */
export const ofTenant = (query: Query, tenant: string): Query =>
  between(query, `${tenant}~`, `${tenant}${AFTER_TILDE}`)

/**
 * An index over a time grows at its end only, at most about 500 writes a second for the whole collection; with a shard
 * in front of the time it grows at 16 ends.
 */
export const SHARDS = 16
export const shardOf = (key: SessionKey): number => Number.parseInt(sha256(key).slice(0, 2), 16) % SHARDS
