import { CodedError } from '../errors.ts'
import { sessionKey, sessionName, type SessionKey, type SessionName } from '../ids.ts'
import type { Session, Want } from '../session.ts'
import type { Removal } from '../store/removal-store.ts'
import { parseNameCursor } from '../store/cursor.ts'
import type { SessionStore } from '../store/session-store.ts'
import { mustBeStorable, WANT_BYTES_MAX } from '../store/storable.ts'
import { toBody } from './body.ts'
import type { Changes } from './changes.ts'
import { toPage } from './paging.ts'
import {
  dataKeysOf,
  findLife,
  findSession,
  toSession,
  toSessions,
  wantOf,
  type SessionRow,
} from './sqlite-session-row.ts'
import type { SqliteFile } from './sqlite-file.ts'
import { addRemoval, findRemoval } from './sqlite-removal-store.ts'
import { demandRoom } from './sqlite-tenant-store.ts'

/** One page of a scan is read in one go, which keeps the event loop for about 10 ms. */
const SCANNED_AT_ONCE = 500
/** A caller repeats a lost answer within seconds; nobody changes one want more often than this meanwhile. */
const NONCES_KEPT = 16

/** @throws CodedError `store_refused` */
function toWant(doing: string, want: Omit<Want, 'generation'>): string {
  mustBeStorable(doing, { want }, WANT_BYTES_MAX)
  return JSON.stringify(want)
}

const gone = (key: SessionKey) => new CodedError('not_found', `there is no session ${key}`)

/** The sessions, in the tables `sessions` and `data_keys`. */
export function sqliteSessionStore(file: SqliteFile, changes: Changes): SessionStore {
  const must = (key: SessionKey): SessionRow => {
    const row = findLife(file, key)
    if (!row) throw gone(key)
    return row
  }

  const forget = (name: SessionName): void => {
    file.run('DELETE FROM sessions WHERE key = ?', name)
    if (file.run('DELETE FROM data_keys WHERE session = ?', name) > 0) file.scrub()
  }

  const pageAfter = (after: string, limit: number, tenant?: string): SessionRow[] =>
    tenant === undefined
      ? file.all<SessionRow>('SELECT * FROM sessions WHERE key > ? ORDER BY key LIMIT ?', after, limit)
      : file.all<SessionRow>(
          'SELECT * FROM sessions WHERE tenant = ? AND key > ? ORDER BY key LIMIT ?',
          tenant,
          after,
          limit,
        )

  return {
    create: ({ tenant, id, life, want, createdAt }) =>
      file.write('create a session', () => {
        const name = sessionName(tenant, id)
        if (findSession(file, name)) throw new CodedError('exists', `the session ${name} exists`)
        demandRoom(file, tenant, 'sessions')
        file.run(
          `INSERT INTO sessions (key, tenant, id, life, generation, want, nonces, created_at, updated_at)
           VALUES (?, ?, ?, ?, 1, ?, '[]', ?, ?)`,
          name,
          tenant,
          id,
          life ?? null,
          toWant('create a session', want),
          createdAt,
          createdAt,
        )
        changes.note('session', name)
        return toSession(file, must(sessionKey(tenant, id, life)))
      }),

    find: (name) =>
      file.read('read a session', () => {
        const row = findSession(file, name)
        return row && toSession(file, row)
      }),

    get: (key) =>
      file.read('read a session', () => {
        const row = findLife(file, key)
        return row && toSession(file, row)
      }),

    list: ({ tenant, after, limit }) =>
      file.read('list the sessions', () => {
        const begin = after === undefined ? '' : parseNameCursor(after, tenant)
        const rows = pageAfter(begin, limit + 1, tenant)
        const page = toPage(
          rows,
          limit,
          (row) => row,
          ({ key }) => key,
        )
        return { ...page, items: toSessions(file, page.items) }
      }),

    async *scan() {
      let page: readonly Session[] = []
      let after = ''
      do {
        page = await file.read('scan the sessions', () => {
          const rows = pageAfter(after, SCANNED_AT_ONCE)
          after = rows.at(-1)?.key ?? after
          return toSessions(file, rows)
        })
        yield* page
      } while (page.length > 0)
    },

    changeWant: (key, change, { nonce, nowMs, expectGeneration }) =>
      file.write('change the want of a session', () => {
        const row = must(key)
        const nonces = JSON.parse(row.nonces) as string[]
        if (nonces.includes(nonce)) return toSession(file, row)
        if (expectGeneration !== undefined && row.generation !== expectGeneration) {
          throw new CodedError('stale', `the want of ${key} is at generation ${row.generation}`)
        }
        const next = change(wantOf(row))
        if (next === undefined) return toSession(file, row)
        // The caller's object may carry the generation it was given; the column is what counts.
        const { generation: _, ...want } = { generation: 0, ...next }
        file.run(
          'UPDATE sessions SET generation = generation + 1, want = ?, nonces = ?, updated_at = ? WHERE key = ?',
          toWant('change the want of a session', want),
          JSON.stringify([...nonces, nonce].slice(-NONCES_KEPT)),
          nowMs,
          row.key,
        )
        changes.note('session', row.key)
        return toSession(file, must(key))
      }),

    reportStatus: (key, status, nowMs) =>
      file.write('report the status of a session', () => {
        const row = must(key)
        if (row.status_epoch !== null && row.status_epoch > status.epoch) {
          throw new CodedError('fenced', `epoch ${row.status_epoch} reports the status of ${key}`)
        }
        file.run(
          'UPDATE sessions SET status = ?, status_epoch = ?, updated_at = ? WHERE key = ?',
          toBody('report the status of a session', 'status', status),
          status.epoch,
          nowMs,
          row.key,
        )
      }),

    putDataKey: (key, dataKey, { expectKeys } = {}) =>
      file.write('store a data key', () => {
        const { key: name } = must(key)
        const stored = dataKeysOf(file, name)
        const same = stored.find(({ id }) => id === dataKey.id)
        if (same && Buffer.compare(same.wrapped, dataKey.wrapped) === 0) return
        if (expectKeys !== undefined && stored.length !== expectKeys) {
          throw new CodedError('conflict', `the session ${key} has ${stored.length} data keys`)
        }
        file.run(
          `INSERT INTO data_keys (session, id, wrapped, key_version, created_at) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (session, id) DO UPDATE SET wrapped = excluded.wrapped, key_version = excluded.key_version`,
          name,
          dataKey.id,
          dataKey.wrapped,
          dataKey.keyVersion,
          dataKey.createdAt,
        )
      }),

    destroyDataKeys: (key, ids) =>
      file.write('destroy data keys', () => {
        const row = findLife(file, key)
        // With the session its keys are gone too.
        if (!row) return
        for (const id of ids) file.run('DELETE FROM data_keys WHERE session = ? AND id = ?', row.key, id)
        file.scrub()
      }),

    remove: (key, { purge, by, nowMs, expectGeneration }) =>
      file.write('delete a session', () => {
        const row = findLife(file, key)
        const earlier = row ? undefined : findRemoval(file, key)
        if (earlier) return earlier
        if (!row) throw gone(key)
        if (expectGeneration !== undefined && row.generation !== expectGeneration) {
          throw new CodedError('stale', `the want of ${key} is at generation ${row.generation}`)
        }
        const session = toSession(file, row)
        const removal: Removal = { session, purge, by, at: nowMs, phase: 'unlinking', tries: 0 }
        forget(row.key)
        addRemoval(file, removal)
        changes.note('session', row.key)
        changes.note('removal', key)
        return removal
      }),

    erase: (key) =>
      file.write('remove a session', () => {
        const row = findLife(file, key)
        if (!row) return
        forget(row.key)
        changes.note('session', row.key)
      }),

    watch: (changed) => changes.watch('session', (name) => changed(name as SessionName)),
  }
}
