import { FieldPath } from '@google-cloud/firestore'
import { LRUCache } from 'lru-cache'
import { CodedError } from '../errors.ts'
import { nameOfKey, sessionName, type SessionKey, type SessionName } from '../ids.ts'
import type { DataKey, Session, Status } from '../session.ts'
import type { Removal } from '../store/removal-store.ts'
import type { SessionStore } from '../store/session-store.ts'
import { mustBeStorable, WANT_BYTES_MAX } from '../store/storable.ts'
import { change, type Seen } from './change.ts'
import { dataOf, type Database } from './database.ts'
import { ofTenant } from './document-id.ts'
import {
  ofLife,
  present,
  sameDataKey,
  toSession,
  withNonce,
  type SessionDocument,
} from './session-document.ts'
import { removalDocument, toRemoval, type RemovalDocument } from './removal-document.ts'
import type { Signals } from './signals.ts'

/** Some 2 KB a session: 300 of them are well within a page's deadline and memory. */
const SCAN_PAGE = 300
/** Only to save a read; a runner holds at most some hundreds. */
const KNOWN_MAX = 2000
/** The owner's statuses are the only rival, at most a few a second. */
const REMOVE_TRIES = 40

export function firestoreSessionStore(db: Database, signals: Signals): SessionStore {
  const collection = db.collection('sessions')
  const removals = db.collection('removals')
  const refOf = (key: SessionKey) => collection.doc(nameOfKey(key))
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

  /** A deletion of ours whose answer was lost, or somebody else's. */
  async function earlierRemoval(key: SessionKey): Promise<Removal> {
    const found = dataOf<RemovalDocument>(await db.get('delete a session', removals.doc(key)))
    if (!found) throw new CodedError('not_found', `no session ${key}`)
    return toRemoval(found)
  }

  return {
    async create({ tenant, id, life, want, createdAt }) {
      const name = sessionName(tenant, id)
      const ref = collection.doc(name)
      mustBeStorable('create a session', { want }, WANT_BYTES_MAX)
      const stored: SessionDocument = {
        ...(life !== undefined && { life }),
        want: { ...want, generation: 1 },
        wantNonces: [],
        dataKeys: [],
        createdBy: db.random.id(),
        createdAt,
        updatedAt: createdAt,
      }
      const outcome = await db.commit('create a session', (writes) => {
        writes.create(ref, stored)
        signals.raise(writes, 'session', name)
      })
      if (!outcome.done) {
        const found = dataOf<SessionDocument>(await db.get('create a session', ref))
        if (found?.createdBy !== stored.createdBy) throw new CodedError('exists', `session ${name} exists`)
      }
      return toSession(name, stored)
    },

    async find(name) {
      const stored = dataOf<SessionDocument>(await db.get('get a session', collection.doc(name)))
      return stored && toSession(name, stored)
    },

    async get(key) {
      const stored = ofLife(dataOf<SessionDocument>(await db.get('get a session', refOf(key))), key)
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
          also: (writes) => signals.raise(writes, 'session', nameOfKey(key)),
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
        const keys = ofLife(stored, key)?.dataKeys ?? []
        const left = keys.filter(({ id }) => !ids.includes(id))
        return left.length === keys.length ? undefined : left
      })
    },

    async remove(key, ask): Promise<Removal> {
      const what = 'delete a session'
      known.delete(key)
      for (let tries = 0; tries < REMOVE_TRIES; tries++) {
        const snapshot = await db.get(what, refOf(key))
        const stored = ofLife(dataOf<SessionDocument>(snapshot), key)
        if (!stored || !snapshot.updateTime) return earlierRemoval(key)
        const { generation } = stored.want
        if (ask.expectGeneration !== undefined && ask.expectGeneration !== generation)
          throw new CodedError('stale', `session ${key} has generation ${generation}`)
        const { purge, by, nowMs: at } = ask
        const session = toSession(key, stored)
        const removal: Removal = { session, purge, by, at, phase: 'unlinking', tries: 0 }
        const { updateTime } = snapshot
        const outcome = await db.commit(what, (writes) => {
          writes.delete(refOf(key), updateTime)
          writes.set(removals.doc(key), removalDocument(removal))
          signals.raise(writes, 'session', nameOfKey(key))
          signals.raise(writes, 'removal', key)
        })
        if (outcome.done) return removal
      }
      throw new CodedError('conflict', `${what}: too many writers at once`)
    },

    async erase(key) {
      known.delete(key)
      for (;;) {
        const snapshot = await db.get('remove a session', refOf(key))
        const stored = ofLife(dataOf<SessionDocument>(snapshot), key)
        const { updateTime } = snapshot
        if (!stored || !updateTime) return
        const outcome = await db.commit('remove a session', (writes) => {
          writes.delete(refOf(key), updateTime)
          signals.raise(writes, 'session', nameOfKey(key))
        })
        if (outcome.done) return
      }
    },

    watch: (changed) => signals.watch('session', (name) => changed(name as SessionName)),
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
