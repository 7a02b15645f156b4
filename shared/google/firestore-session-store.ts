import { FieldPath, type Timestamp } from '@google-cloud/firestore'
import { LRUCache } from 'lru-cache'
import { CodedError } from '../errors.ts'
import { nameOfKey, sessionName, splitKey, type SessionKey, type SessionName } from '../ids.ts'
import type { DataKey, Session, Status } from '../session.ts'
import type { Removal } from '../store/removal-store.ts'
import { parseNameCursor } from '../store/cursor.ts'
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
import type { TenantCounters } from './tenant-counters.ts'
import type { Writes } from './writes.ts'

/** Some 2 KB a session: 300 of them are well within a page's deadline and memory. */
const SCAN_PAGE = 300
/** Only to save a read; a runner holds at most some hundreds. */
const KNOWN_MAX = 2000

export function firestoreSessionStore(
  db: Database,
  signals: Signals,
  counters: TenantCounters,
): SessionStore {
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

  /**
   * Removes the record of a life in one commit with the tenant's counter and with what `judge` wants written; `judge` sees the
   * record as it is and may throw. False when there is none any more, perhaps by a commit of ours whose answer was lost.
   */
  async function end(
    key: SessionKey,
    what: string,
    judge: (stored: SessionDocument) => (writes: Writes) => void,
  ): Promise<boolean> {
    known.delete(key)
    let also: ((writes: Writes) => void) | undefined
    let readAt: Timestamp | undefined
    const look = async (): Promise<boolean> => {
      const snapshot = await db.get(what, refOf(key))
      const stored = ofLife(dataOf<SessionDocument>(snapshot), key)
      also = stored && judge(stored)
      readAt = snapshot.updateTime
      return stored !== undefined
    }
    if (!(await look())) return false
    await counters.commit({
      what,
      tenant: splitKey(key).tenant,
      quota: 'sessions',
      by: -1,
      fill(writes) {
        writes.delete(refOf(key), readAt)
        also?.(writes)
        signals.raise(writes, 'session', nameOfKey(key))
      },
      settle: async () => !(await look()),
    })
    return also !== undefined
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
      const what = 'create a session'
      /** Whether it is there, made by this very call. */
      const settle = async (): Promise<boolean> => {
        const found = dataOf<SessionDocument>(await db.get(what, ref))
        if (found && found.createdBy !== stored.createdBy)
          throw new CodedError('exists', `session ${name} exists`)
        return found !== undefined
      }
      await settle()
      await counters.commit({
        what,
        tenant,
        quota: 'sessions',
        by: 1,
        fill(writes) {
          writes.create(ref, stored)
          signals.raise(writes, 'session', name)
        },
        settle,
      })
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
      const rest = after === undefined ? all : all.startAfter(parseNameCursor(after, tenant))
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

    async remove(key, { purge, by, nowMs: at, expectGeneration }): Promise<Removal> {
      let removal: Removal | undefined
      const isOurs = await end(key, 'delete a session', (stored) => {
        const { generation } = stored.want
        if (expectGeneration !== undefined && expectGeneration !== generation)
          throw new CodedError('stale', `session ${key} has generation ${generation}`)
        const made: Removal = { session: toSession(key, stored), purge, by, at, phase: 'unlinking', tries: 0 }
        removal = made
        return (writes) => {
          writes.set(removals.doc(key), removalDocument(made))
          signals.raise(writes, 'removal', key)
        }
      })
      return isOurs && removal ? removal : earlierRemoval(key)
    },

    async erase(key) {
      await end(key, 'remove a session', () => () => {})
    },

    watch: (changed) => signals.watch('session', (name) => changed(name as SessionName)),
  }
}

/** The client throws at a name that can't be one. @throws CodedError `invalid_field` for what none of our pages gave */
/** What is kept in memory must look like what is stored, and the client leaves `undefined` out. */
const withoutUndefined = (status: Status): Status =>
  Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined)) as unknown as Status
