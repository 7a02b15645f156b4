import { CodedError } from '#shared/errors.ts'
import { sessionKey, type SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import type { SessionStore } from '#shared/store/session-store.ts'
import { mustBeStorable, WANT_BYTES_MAX } from '#shared/store/storable.ts'
import { byText, pageOf, type MemoryClient, type StoredSession } from './database.ts'

const keyOf = (session: Session): SessionKey => sessionKey(session.tenant, session.id)

export function memorySessionStore(client: MemoryClient): SessionStore {
  const must = (key: SessionKey): StoredSession => {
    const stored = client.open().sessions.get(key)
    if (!stored) throw new CodedError('not_found', `there is no session ${key}`)
    return stored
  }
  const sorted = (): Session[] =>
    [...client.open().sessions.values()]
      .map(({ session }) => session)
      .toSorted((a, b) => byText(keyOf(a), keyOf(b)))

  return {
    async create({ tenant, id, want, createdAt }) {
      const db = client.open()
      const key = sessionKey(tenant, id)
      if (db.sessions.has(key)) throw new CodedError('exists', `the session ${key} exists`)
      mustBeStorable('create a session', { want }, WANT_BYTES_MAX)
      const session: Session = {
        tenant,
        id,
        want: { ...want, generation: 1 },
        dataKeys: [],
        createdAt,
        updatedAt: createdAt,
      }
      db.sessions.set(key, { session, nonces: new Set() })
      db.note('session', key)
      return session
    },

    get: async (key) => client.open().sessions.get(key)?.session,

    async list({ tenant, after = '', limit }) {
      const rest = sorted().filter(
        (session) => keyOf(session) > after && (tenant === undefined || session.tenant === tenant),
      )
      return pageOf(rest, limit, keyOf)
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
      client.db.note('session', key)
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
      const stored = client.open().sessions.get(key)
      if (!stored) return
      const dataKeys = stored.session.dataKeys.filter(({ id }) => !ids.includes(id))
      stored.session = { ...stored.session, dataKeys }
    },

    async remove(key) {
      if (client.open().sessions.delete(key)) client.db.note('session', key)
    },

    watch: (changed) => client.db.watch('session', (key) => changed(key as SessionKey)),
  }
}
