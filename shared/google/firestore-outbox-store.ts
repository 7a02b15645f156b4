import { AggregateField, FieldValue, type DocumentSnapshot } from '@google-cloud/firestore'
import { LRUCache } from 'lru-cache'
import { CodedError } from '../errors.ts'
import { splitKey, type SessionKey, type TenantId } from '../ids.ts'
import {
  isOpen,
  readOutboxMessage,
  type OutboxMessage,
  type WaitingMessage,
} from '../store/outbox-message.ts'
import { moved } from '../store/outbox-moves.ts'
import type { OutboxStore } from '../store/outbox-store.ts'
import { mustBeStorable, storedBytes } from '../store/storable.ts'
import { createAcceptance, fromCursor, toCursor, toPlace, type Accepted } from './acceptance.ts'
import { change, type Seen } from './change.ts'
import { bytesOf, dataOf, type Database } from './database.ts'
import { documentId, shardOf } from './document-id.ts'
import { listen } from './listen.ts'
import { sweep } from './sweeper.ts'

/**
 * `outbox/{hash}~{key}~{id}` {key, tenant, bytes, shard, accepted, turn, open?, queued?, createdAt, message}. `open` is true while
 * the message waits to be sent or acknowledged, `queued` until it is taken; both are absent afterwards, so that the indexes
 * over them hold what is waiting and nothing else, and the watch pays for no later change. What was accepted before there was
 * `queued` is found by its owner's look at all that waits. `tenant` and `bytes` are for counting; messages that were accepted before there were quotas have neither and are
 * counted nowhere.
 */
interface OutboxDocument extends Accepted {
  key: SessionKey
  tenant: TenantId
  bytes: number
  shard: number
  open?: true
  queued?: true
  createdAt: number
  message: OutboxMessage
}

/** Messages as this process saw them last, so that a move needs no read; each is in work for seconds as a rule. */
const KNOWN_MAX = 5_000
const KNOWN_BYTES_MAX = 16 * 1024 * 1024

export function firestoreOutboxStore(db: Database): OutboxStore {
  const collection = db.collection('outbox')
  const refOf = (key: SessionKey, id: string) => collection.doc(documentId(key, id))
  const acceptance = createAcceptance()
  const known = new LRUCache<string, Seen<OutboxDocument>>({
    max: KNOWN_MAX,
    maxSize: KNOWN_BYTES_MAX,
    sizeCalculation: ({ data }) => storedBytes(data.message) + 1,
  })

  /** What waits, as a query or a listener gave it: the next step with it is a move. */
  function waitingOf(doc: DocumentSnapshot): WaitingMessage {
    const data = dataOf<OutboxDocument>(doc)
    if (!data || !doc.updateTime) throw new CodedError('bad_bytes', 'read a message: there is none')
    known.set(doc.id, { data, at: doc.updateTime })
    return { ...read(data), place: toPlace(data) }
  }

  return {
    async enqueue(key, message) {
      const ref = refOf(key, message.id)
      mustBeStorable('enqueue a message', { message })
      const outcome = await db.commit('enqueue a message', (writes) =>
        writes.create(ref, {
          key,
          tenant: splitKey(key).tenant,
          bytes: storedBytes(message),
          shard: shardOf(key),
          ...acceptance(),
          ...(isOpen(message.state) && { open: true }),
          ...(message.state === 'queued' && { queued: true }),
          createdAt: message.acceptedAt,
          message,
        }),
      )
      if (outcome.done) return message
      const stored = dataOf<OutboxDocument>(await db.get('enqueue a message', ref))
      if (!stored) throw new CodedError('store_unavailable', 'enqueue a message: it was removed meanwhile')
      return read(stored)
    },

    async get(key, id) {
      const stored = dataOf<OutboxDocument>(await db.get('get a message', refOf(key, id)))
      return stored && read(stored)
    },

    async list(key, { after, limit }) {
      const all = collection.where('key', '==', key).orderBy('accepted', 'desc').orderBy('turn', 'desc')
      const rest = after === undefined ? all : all.startAfter(...fromCursor(after))
      const found = await db.query('list messages', rest.limit(limit + 1))
      const stored = found.docs.slice(0, limit).map((doc) => doc.data() as OutboxDocument)
      const items = stored.map(read)
      const last = stored.at(-1)
      return found.size > limit && last ? { items, next: toCursor(last) } : { items }
    },

    async pending(key, { after, limit }) {
      const waiting = collection.where('key', '==', key).where('open', '==', true)
      const oldest = waiting.orderBy('accepted').orderBy('turn')
      const rest = after === undefined ? oldest : oldest.startAfter(...fromCursor(after))
      const found = await db.query('read the waiting messages', rest.limit(limit))
      return found.docs.map(waitingOf)
    },

    async waiting(tenant) {
      const open = collection.where('tenant', '==', tenant).where('open', '==', true)
      const found = await db.aggregate(
        'count the waiting messages',
        open.aggregate({ messages: AggregateField.count(), bytes: AggregateField.sum('bytes') }),
      )
      return { messages: found['messages'] ?? 0, bytes: found['bytes'] ?? 0 }
    },

    async move(key, id, move) {
      const ref = refOf(key, id)
      const decide = (stored: OutboxDocument | undefined) => {
        if (!stored) return undefined
        const before = read(stored)
        const message = moved(before, move)
        if (message === before) return undefined
        const { state } = message
        return {
          fields: {
            message,
            ...(!isOpen(state) && { open: FieldValue.delete() }),
            ...(state !== 'queued' && stored.queued && { queued: FieldValue.delete() }),
          },
        }
      }
      const seen = await change(db, 'move a message', ref, decide, known.get(ref.id))
      if (!seen) return undefined
      known.set(ref.id, seen)
      return read(seen.data)
    },

    sweep: (ask) => sweep(db, 'sweep messages', collection, 'createdAt', ask),

    watch: (changed) =>
      listen(
        db,
        'watch messages',
        () => Promise.resolve(collection.where('queued', '==', true)),
        (snapshot) => {
          const added = snapshot.docChanges().filter(({ type }) => type === 'added')
          for (const { doc } of added) changed((doc.data() as OutboxDocument).key, waitingOf(doc))
        },
      ),
  }
}

function read({ message }: OutboxDocument): OutboxMessage {
  const { request, prepared, ...rest } = readOutboxMessage(message)
  return {
    ...rest,
    ...(request && { request: bytesOf(request) }),
    ...(prepared && { prepared: bytesOf(prepared) }),
  }
}
