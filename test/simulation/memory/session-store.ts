import { CodedError } from '#shared/errors.ts'
import { nameOfKey, sessionName, splitKey, type SessionKey, type SessionName } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import { parseNameCursor } from '#shared/store/cursor.ts'
import type { SessionStore } from '#shared/store/session-store.ts'
import { mustBeStorable, WANT_BYTES_MAX } from '#shared/store/storable.ts'
import { byText, pageOf, type MemoryClient, type StoredSession } from './database.ts'
import { demandRoom } from './tenant-store.ts'

const nameOf = (session: Session): SessionName => sessionName(session.tenant, session.id)

export function memorySessionStore(client: MemoryClient): SessionStore {
  const lifeOf = (key: SessionKey): StoredSession | undefined => {
    const stored = client.open().sessions.get(nameOfKey(key))
    return stored?.session.life === splitKey(key).life ? stored : undefined
  }
  const must = (key: SessionKey): StoredSession => {
    const stored = lifeOf(key)
    if (!stored) throw new CodedError('not_found', `there is no session ${key}`)
    return stored
  }
  const sorted = (): Session[] =>
    [...client.open().sessions.values()]
      .map(({ session }) => session)
      .toSorted((a, b) => byText(nameOf(a), nameOf(b)))

  return {
    async create({ tenant, id, life, want, createdAt }) {
      const db = client.open()
      const name = sessionName(tenant, id)
      if (db.sessions.has(name)) throw new CodedError('exists', `the session ${name} exists`)
      mustBeStorable('create a session', { want }, WANT_BYTES_MAX)
      demandRoom(db, tenant, 'sessions')
      const session: Session = {
        tenant,
        id,
        ...(life !== undefined && { life }),
        want: { ...want, generation: 1 },
        dataKeys: [],
        createdAt,
        updatedAt: createdAt,
      }
      db.sessions.set(name, { session, nonces: new Set() })
      db.note('session', name)
      return session
    },

    find: async (name) => client.open().sessions.get(name)?.session,

    get: async (key) => lifeOf(key)?.session,

    async list({ tenant, after, limit }) {
      const begin = after === undefined ? '' : parseNameCursor(after, tenant)
      const rest = sorted().filter(
        (session) => nameOf(session) > begin && (tenant === undefined || session.tenant === tenant),
      )
      return pageOf(rest, limit, nameOf)
    },

    async *scan() {
      yield* sorted()
    },

    async changeWant(key, change, { nonce, nowMs, expectGeneration }) {
      const stored = must(key)
      const { session, nonces } = stored
      if (nonces.has(nonce)) return session
      if (expectGeneration !== undefined && session.want.generation !== expectGeneration)
        throw new CodedError('stale', `the want of ${key} is at generation ${session.want.generation}`)
      const next = change(session.want)
      if (!next) return session
      mustBeStorable('change a want', { want: next }, WANT_BYTES_MAX)
      nonces.add(nonce)
      const want = { ...next, generation: session.want.generation + 1 }
      stored.session = { ...session, want, updatedAt: nowMs }
      client.db.note('session', nameOfKey(key))
      return stored.session
    },

    async reportStatus(key, status, nowMs) {
      const stored = must(key)
      if ((stored.session.status?.epoch ?? 0) > status.epoch)
        throw new CodedError('fenced', `a newer epoch reports the status of ${key}`)
      mustBeStorable('report a status', { status })
      stored.session = { ...stored.session, status, updatedAt: nowMs }
    },

    async putDataKey(key, dataKey, { expectKeys } = {}) {
      const stored = must(key)
      const { dataKeys } = stored.session
      const at = dataKeys.findIndex(({ id }) => id === dataKey.id)
      const same = dataKeys[at]
      if (same && Buffer.compare(same.wrapped, dataKey.wrapped) === 0) return
      if (expectKeys !== undefined && dataKeys.length !== expectKeys)
        throw new CodedError('conflict', `the session ${key} has ${dataKeys.length} data keys`)
      stored.session = {
        ...stored.session,
        dataKeys: at < 0 ? [...dataKeys, dataKey] : dataKeys.with(at, dataKey),
      }
    },

    async destroyDataKeys(key, ids) {
      const stored = lifeOf(key)
      if (!stored) return
      const dataKeys = stored.session.dataKeys.filter(({ id }) => !ids.includes(id))
      stored.session = { ...stored.session, dataKeys }
    },

    async remove(key, { purge, by, nowMs, expectGeneration }) {
      const db = client.open()
      const stored = lifeOf(key)
      const earlier = stored ? undefined : db.removals.get(key)
      if (earlier) return earlier
      const { session } = stored ?? must(key)
      if (expectGeneration !== undefined && session.want.generation !== expectGeneration)
        throw new CodedError('stale', `the want of ${key} is at generation ${session.want.generation}`)
      const removal: Removal = { session, purge, by, at: nowMs, phase: 'unlinking', tries: 0 }
      db.sessions.delete(nameOfKey(key))
      db.removals.set(key, removal)
      db.note('session', nameOfKey(key))
      db.note('removal', key)
      return removal
    },

    async erase(key) {
      const { sessions } = client.open()
      if (lifeOf(key) && sessions.delete(nameOfKey(key))) client.db.note('session', nameOfKey(key))
    },

    watch: (changed) => client.db.watch('session', (name) => changed(name as SessionName)),
  }
}
