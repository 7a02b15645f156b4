import { FieldPath } from '@google-cloud/firestore'
import { LRUCache } from 'lru-cache'
import { CodedError } from '../errors.ts'
import { sessionKey, type SessionKey } from '../ids.ts'
import type { DataKey, Session, Status } from '../session.ts'
import type { SessionStore } from '../store/session-store.ts'
import { mustBeStorable, WANT_BYTES_MAX } from '../store/storable.ts'
import { change, type Seen } from './change.ts'
import { dataOf, type Database } from './database.ts'
import { ofTenant } from './document-id.ts'
import { present, sameDataKey, toSession, withNonce, type SessionDocument } from './session-document.ts'
import type { Signals } from './signals.ts'

/** Some 2 KB a session: 300 of them are well within a page's deadline and memory. */
const SCAN_PAGE = 300
/** Only to save a read; a runner holds at most some hundreds. */
const KNOWN_MAX = 2000

export function firestoreSessionStore(db: Database, signals: Signals): SessionStore {
  const collection = db.collection('sessions')
  const refOf = (key: SessionKey) => collection.doc(key)
  /** Sessions as this process last wrote their status: an owner writes again without reading first. */
  const known = new LRUCache<SessionKey, Seen<SessionDocument>>({ max: KNOWN_MAX })

  async function changeKeys(
    key: SessionKey,
    what: string,
    decide: (stored: SessionDocument | undefined) => DataKey[] | undefined,
  ): Promise<void> {
    await change<SessionDocument>(db, what, refOf(key), (stored) => {
      const dataKeys = decide(stored)
      return dataKeys && { fields: { dataKeys } }
    })
  }

  return {
    async create({ tenant, id, want, createdAt }) {
      const key = sessionKey(tenant, id)
      mustBeStorable('create a session', { want }, WANT_BYTES_MAX)
      const stored: SessionDocument = {
        want: { ...want, generation: 1 },
        wantNonces: [],
        dataKeys: [],
        createdBy: db.random.id(),
        createdAt,
        updatedAt: createdAt,
      }
      const outcome = await db.commit('create a session', (writes) => {
        writes.create(refOf(key), stored)
        signals.raise(writes, 'session', key)
      })
      if (!outcome.done) {
        const found = dataOf<SessionDocument>(await db.get('create a session', refOf(key)))
        if (found?.createdBy !== stored.createdBy) throw new CodedError('exists', `session ${key} exists`)
      }
      return toSession(key, stored)
    },

    async get(key) {
      const stored = dataOf<SessionDocument>(await db.get('get a session', refOf(key)))
      return stored && toSession(key, stored)
    },

    async list({ tenant, after, limit }) {
      const all =
        tenant === undefined ? collection.orderBy(FieldPath.documentId()) : ofTenant(collection, tenant)
      const rest = after === undefined ? all : all.startAfter(cursorOf(after))
      const found = await db.query('list sessions', rest.limit(limit + 1))
      const items = found.docs.slice(0, limit).map((doc) => toSession(doc.id, doc.data() as SessionDocument))
      const last = found.docs[limit - 1]
      return found.size > limit && last ? { items, next: last.id } : { items }
    },

    async *scan() {
      const all = collection.orderBy(FieldPath.documentId())
      for await (const page of db.pages('scan sessions', all, SCAN_PAGE)) {
        for (const doc of page.docs) yield toSession(doc.id, doc.data() as SessionDocument)
      }
    },

    async changeWant(key, decide, { nonce, nowMs, expectGeneration }): Promise<Session> {
      const seen = await change<SessionDocument>(db, 'change a want', refOf(key), (found) => {
        const stored = present(found, key)
        if (stored.wantNonces.includes(nonce)) return undefined
        const { generation } = stored.want
        if (expectGeneration !== undefined && expectGeneration !== generation) {
          throw new CodedError(
            'stale',
            `session ${key} has generation ${generation}, not ${expectGeneration}`,
          )
        }
        const want = decide(stored.want)
        if (!want) return undefined
        mustBeStorable('change a want', { want }, WANT_BYTES_MAX)
        return {
          fields: {
            want: { ...want, generation: generation + 1 },
            wantNonces: withNonce(stored.wantNonces, nonce),
            updatedAt: nowMs,
          },
          also: (writes) => signals.raise(writes, 'session', key),
        }
      })
      return toSession(key, present(seen?.data, key))
    },

    async reportStatus(key, status, nowMs) {
      const decide = (found: SessionDocument | undefined) => {
        const epoch = present(found, key).status?.epoch ?? 0
        if (epoch > status.epoch) {
          throw new CodedError('fenced', `status of ${key}: epoch ${epoch} wrote, this is ${status.epoch}`)
        }
        return { fields: { status: withoutUndefined(status), updatedAt: nowMs } }
      }
      const seen = await change(db, 'report a status', refOf(key), decide, known.get(key))
      if (seen) known.set(key, seen)
    },

    async putDataKey(key, dataKey, options) {
      await changeKeys(key, 'put a data key', (stored) => {
        const keys = present(stored, key).dataKeys
        const at = keys.findIndex(({ id }) => id === dataKey.id)
        // One's own write whose answer was lost: the count has moved since, and that is no conflict.
        if (sameDataKey(keys[at], dataKey)) return undefined
        if (options?.expectKeys !== undefined && options.expectKeys !== keys.length) {
          throw new CodedError('conflict', `${key} has ${keys.length} data keys, not ${options.expectKeys}`)
        }
        return at === -1 ? [...keys, dataKey] : keys.with(at, dataKey)
      })
    },

    async destroyDataKeys(key, ids) {
      await changeKeys(key, 'destroy data keys', (stored) => {
        // With the session its keys are gone too.
        const keys = stored?.dataKeys ?? []
        const left = keys.filter(({ id }) => !ids.includes(id))
        return left.length === keys.length ? undefined : left
      })
    },

    async remove(key) {
      known.delete(key)
      await db.commit('remove a session', (writes) => {
        writes.delete(refOf(key))
        signals.raise(writes, 'session', key)
      })
    },

    watch: (changed) => signals.watch('session', (name) => changed(name as SessionKey)),
  }
}

/** The client throws at a name that can't be one. @throws CodedError `invalid_field` for what none of our pages gave */
function cursorOf(after: string): string {
  if (/^[^/]+$/.test(after)) return after
  throw new CodedError('invalid_field', 'after must be a cursor of an earlier page', { field: 'after' })
}

/** What is kept in memory must look like what is stored, and the client leaves `undefined` out. */
const withoutUndefined = (status: Status): Status =>
  Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined)) as unknown as Status
