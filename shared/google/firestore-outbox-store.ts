import { AggregateField, FieldValue } from '@google-cloud/firestore'
import { LRUCache } from 'lru-cache'
import { CodedError } from '../errors.ts'
import { splitKey, type SessionKey, type TenantId } from '../ids.ts'
import {
  OUTBOX_STATES,
  type OutboxMessage,
  type OutboxState,
  type OutboxStore,
} from '../store/outbox-store.ts'
import { createAcceptance, fromCursor, toCursor, type Accepted } from './acceptance.ts'
import { change, type Seen } from './change.ts'
import { dataOf, type Database } from './database.ts'
import { documentId, shardOf } from './document-id.ts'
import { listen } from './listen.ts'
import { sweep } from './sweeper.ts'

/**
 * `outbox/{hash}~{key}~{id}` {key, tenant, bytes, shard, accepted, turn, open?, createdAt, message}. `open` is true while the
 * message waits to be sent and absent afterwards, so that the indexes over it hold what is waiting and nothing else. `tenant`
 * and `bytes` are for counting; messages that were accepted before there were quotas have neither and are counted nowhere.
 */
interface OutboxDocument extends Accepted {
  key: SessionKey
  tenant: TenantId
  bytes: number
  shard: number
  open?: true
  createdAt: number
  message: OutboxMessage
}

/** Messages whose last state this process wrote; receipts come within seconds as a rule. */
const KNOWN_MAX = 5000

const waits = (state: OutboxState): boolean => state === 'queued' || state === 'sending'

/** `failed` ends what has not arrived; what has arrived can't fail any more. */
function isAhead(to: OutboxState, from: OutboxState): boolean {
  if (from === 'failed') return false
  if (to === 'failed') return waits(from) || from === 'sent'
  return OUTBOX_STATES.indexOf(to) > OUTBOX_STATES.indexOf(from)
}

export function firestoreOutboxStore(db: Database): OutboxStore {
  const collection = db.collection('outbox')
  const refOf = (key: SessionKey, id: string) => collection.doc(documentId(key, id))
  const acceptance = createAcceptance()
  const known = new LRUCache<string, Seen<OutboxDocument>>({ max: KNOWN_MAX })

  return {
    async enqueue(key, message) {
      const ref = refOf(key, message.id)
      const outcome = await db.commit('enqueue a message', (writes) =>
        writes.create(ref, {
          key,
          tenant: splitKey(key).tenant,
          bytes: Buffer.byteLength(JSON.stringify(message)),
          shard: shardOf(key),
          ...acceptance(),
          ...(waits(message.state) && { open: true }),
          createdAt: message.createdAt,
          message,
        }),
      )
      if (outcome.done) return message
      const stored = dataOf<OutboxDocument>(await db.get('enqueue a message', ref))
      if (!stored) throw new CodedError('store_unavailable', 'enqueue a message: it was removed meanwhile')
      return stored.message
    },

    async get(key, id) {
      return dataOf<OutboxDocument>(await db.get('get a message', refOf(key, id)))?.message
    },

    async list(key, { after, limit }) {
      const all = collection.where('key', '==', key).orderBy('accepted', 'desc').orderBy('turn', 'desc')
      const rest = after === undefined ? all : all.startAfter(...fromCursor(after))
      const found = await db.query('list messages', rest.limit(limit + 1))
      const stored = found.docs.slice(0, limit).map((doc) => doc.data() as OutboxDocument)
      const items = stored.map(({ message }) => message)
      const last = stored.at(-1)
      return found.size > limit && last ? { items, next: toCursor(last) } : { items }
    },

    async pending(key, limit) {
      const waiting = collection.where('key', '==', key).where('open', '==', true)
      const oldest = waiting.orderBy('accepted').orderBy('turn').limit(limit)
      const found = await db.query('read the waiting messages', oldest)
      return found.docs.map((doc) => (doc.data() as OutboxDocument).message)
    },

    async waiting(tenant) {
      const open = collection.where('tenant', '==', tenant).where('open', '==', true)
      const found = await db.aggregate(
        'count the waiting messages',
        open.aggregate({ messages: AggregateField.count(), bytes: AggregateField.sum('bytes') }),
      )
      return { messages: found['messages'] ?? 0, bytes: found['bytes'] ?? 0 }
    },

    async advance(key, id, { state, error, nowMs }) {
      const ref = refOf(key, id)
      const decide = (stored: OutboxDocument | undefined) => {
        if (!stored || !isAhead(state, stored.message.state)) return undefined
        const message = { ...stored.message, state, updatedAt: nowMs, ...(error && { error }) }
        return { fields: { message, ...(!waits(state) && { open: FieldValue.delete() }) } }
      }
      const seen = await change(db, 'advance a message', ref, decide, known.get(ref.id))
      if (seen) known.set(ref.id, seen)
    },

    sweep: (ask) => sweep(db, 'sweep messages', collection, 'createdAt', ask),

    watch: (changed) =>
      listen(
        db,
        'watch messages',
        () => Promise.resolve(collection.where('open', '==', true)),
        (snapshot) => {
          const added = snapshot.docChanges().filter(({ type }) => type === 'added')
          const keys = new Set(added.map(({ doc }) => (doc.data() as OutboxDocument).key))
          for (const key of keys) changed(key)
        },
      ),
  }
}
