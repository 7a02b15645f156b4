import { CodedError } from '#shared/errors.ts'
import { splitKey, type SessionKey } from '#shared/ids.ts'
import type { ApiKeyStore } from '#shared/store/api-key-store.ts'
import { parseEventCursor } from '#shared/store/cursor.ts'
import type { EventStore } from '#shared/store/event-store.ts'
import { interruptedTry, nextTry, type JobStore } from '#shared/store/job-store.ts'
import { mustBeStorable } from '#shared/store/storable.ts'
import { byText, inner, pageOf, sweepOf, type MemoryClient } from './database.ts'
import { demandRoom } from './tenant-store.ts'

export function memoryJobStore(client: MemoryClient): JobStore {
  const all = (key: SessionKey) => [...(client.open().jobs.get(key)?.values() ?? [])]
  return {
    async create(key, job) {
      const jobs = inner(client.open().jobs, key)
      const stored = jobs.get(job.id)
      if (stored) return stored
      mustBeStorable('create a job', { job })
      if (job.kind === 'import' && job.state === 'open')
        demandRoom(client.open(), splitKey(key).tenant, 'imports')
      jobs.set(job.id, job)
      client.db.note('job', key)
      return job
    },
    get: async (key, id) => client.open().jobs.get(key)?.get(id),
    open: async (key) => all(key).filter(({ state }) => state === 'open'),
    openKeys: async () =>
      [...client.open().jobs.keys()].filter((key) => all(key).some(({ state }) => state === 'open')),
    async begin(key, id, by) {
      const jobs = client.open().jobs.get(key)
      const stored = jobs?.get(id)
      if (!jobs || stored?.state !== 'open') return undefined
      const job = { ...stored, latestTry: nextTry(stored.latestTry, by) }
      jobs.set(id, job)
      return job
    },
    async interrupt(key, id, by) {
      const jobs = client.open().jobs.get(key)
      const stored = jobs?.get(id)
      const latestTry = interruptedTry(stored?.latestTry, by)
      if (stored?.state === 'open' && latestTry) jobs?.set(id, { ...stored, latestTry })
    },
    async finish(key, id, { state, result, error, nowMs }) {
      const jobs = client.open().jobs.get(key)
      const stored = jobs?.get(id)
      if (!jobs || stored?.state !== 'open') return
      const job = {
        ...stored,
        args: {},
        state,
        finishedAt: nowMs,
        ...(result && { result }),
        ...(error && { error }),
      }
      mustBeStorable('finish a job', { job })
      jobs.set(id, job)
    },
    sweep: async ({ key, olderThanMs = 0 }) =>
      sweepOf(client.open().jobs, key, ({ finishedAt }) => (finishedAt ?? Infinity) < olderThanMs),
    watch: (changed) => client.db.watch('job', (key) => changed(key as SessionKey)),
  }
}

export function memoryEventStore(client: MemoryClient): EventStore {
  const sorted = (key: SessionKey) =>
    [...(client.open().events.get(key)?.values() ?? [])].toSorted((a, b) => byText(a.id, b.id))
  return {
    async append(key, event) {
      const events = inner(client.open().events, key)
      mustBeStorable('append an event', { event })
      if (!events.has(event.id)) events.set(event.id, event)
    },
    async list(key, { after, limit }) {
      if (after !== undefined) parseEventCursor(after)
      const rest = sorted(key)
        .toReversed()
        .filter(({ id }) => after === undefined || id < after)
      return pageOf(rest, limit, ({ id }) => id)
    },
    async since({ tenant, afterId, limit }) {
      const keys = [...client.open().events.keys()].filter(
        (key) => tenant === undefined || splitKey(key).tenant === tenant,
      )
      return keys
        .flatMap((key) => sorted(key).map((event) => ({ ...event, key })))
        .filter(({ id }) => id > afterId)
        .toSorted((a, b) => byText(a.id, b.id))
        .slice(0, limit)
    },
    sweep: async ({ key, olderThanMs = 0 }) =>
      sweepOf(client.open().events, key, ({ at }) => at < olderThanMs),
  }
}

export function memoryApiKeyStore(client: MemoryClient): ApiKeyStore {
  return {
    async create(key) {
      const db = client.open()
      if (db.apiKeys.has(key.sha256)) return
      if ([...db.apiKeys.values()].some(({ id }) => id === key.id))
        throw new CodedError('exists', `a key with the id ${key.id} exists`)
      if (key.tenant !== undefined) demandRoom(db, key.tenant, 'keys')
      db.apiKeys.set(key.sha256, key)
    },
    find: async (sha256) => client.open().apiKeys.get(sha256),
    list: async (tenant) =>
      [...client.open().apiKeys.values()]
        .filter((key) => tenant === undefined || key.tenant === tenant)
        .toSorted((a, b) => a.createdAt - b.createdAt),
    async revoke(sha256, nowMs) {
      const { apiKeys } = client.open()
      const stored = apiKeys.get(sha256)
      if (!stored) throw new CodedError('not_found', 'there is no such key')
      apiKeys.set(sha256, { revokedAt: nowMs, ...stored })
    },
    async forget(sha256) {
      const { apiKeys } = client.open()
      if (apiKeys.get(sha256)?.revokedAt !== undefined) apiKeys.delete(sha256)
    },
    async touch(sha256, nowMs) {
      const { apiKeys } = client.open()
      const stored = apiKeys.get(sha256)
      if (stored) apiKeys.set(sha256, { ...stored, lastUsedAt: nowMs })
    },
  }
}
