import type { Timestamp } from '@google-cloud/firestore'
import { splitKey, type SessionKey, type TenantId } from '../ids.ts'
import { parseEventCursor } from '../store/cursor.ts'
import type { AuditEvent, EventStore } from '../store/event-store.ts'
import { timestampOf, type Database } from './database.ts'
import { documentId, shardOf } from './document-id.ts'
import { sweep } from './sweeper.ts'

/**
 * `events/{hash}~{key}~{id}` {key, tenant, shard, id, at, expireAt, event}. `id`, `at` and `tenant` stand outside of the
 * event because they are asked for; the index on `id` alone, for the stream over all tenants, grows at its end and holds
 * some 500 events a second (docs/facts/google-cloud.md §2.1), ten times a fleet of 10,000 sessions in trouble. TTL
 * removes by `expireAt`.
 */
interface EventDocument {
  key: SessionKey
  tenant: TenantId
  shard: number
  id: string
  at: number
  expireAt: Timestamp
  event: AuditEvent
}

/** The audit trail is kept for 30 days (docs/design/state.md §3.1). */
const KEEP_MS = 30 * 24 * 3_600_000

export function firestoreEventStore(db: Database): EventStore {
  const collection = db.collection('events')

  return {
    async append(key, event) {
      const stored: EventDocument = {
        key,
        tenant: splitKey(key).tenant,
        shard: shardOf(key),
        id: event.id,
        at: event.at,
        expireAt: timestampOf(event.at + KEEP_MS),
        event,
      }
      // Refused only when it is there already: a repeat.
      await db.commit('append an event', (writes) =>
        writes.create(collection.doc(documentId(key, event.id)), stored),
      )
    },

    async list(key, { after, limit }) {
      const all = collection.where('key', '==', key).orderBy('id', 'desc')
      const rest = after === undefined ? all : all.startAfter(parseEventCursor(after))
      const found = await db.query('list events', rest.limit(limit + 1))
      const items = found.docs.slice(0, limit).map((doc) => (doc.data() as EventDocument).event)
      const last = items.at(-1)
      return found.size > limit && last ? { items, next: last.id } : { items }
    },

    async since({ tenant, afterId, limit }) {
      const all = tenant === undefined ? collection : collection.where('tenant', '==', tenant)
      const found = await db.query('follow events', all.where('id', '>', afterId).orderBy('id').limit(limit))
      return found.docs.map((doc) => {
        const { key, event } = doc.data() as EventDocument
        return { ...event, key }
      })
    },

    sweep: (ask) => sweep(db, 'sweep events', collection, 'at', ask),
  }
}
