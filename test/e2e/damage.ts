import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { folderOf, type SessionKey } from '#shared/ids.ts'

/**
 * What a broken disk or a careless hand does to a data directory while no process runs on it. A session is named by tenant and
 * name; what is done is done to the life that the name has.
 */

const keyIn = (dataDir: string, name: string): SessionKey =>
  withDatabase(join(dataDir, 'records.db'), (database) => {
    const row = database.prepare('SELECT life FROM sessions WHERE key = ?').get(name)
    const life = row?.['life']
    return (typeof life === 'string' ? `${name}~${life}` : name) as SessionKey
  })

/** Flips a byte in every journal entry of a session. */
export function damageJournal(dataDir: string, name: string): number {
  return withDatabase(join(dataDir, 'journal.db'), (database) => {
    const rows = database
      .prepare('SELECT position, sealed FROM journal WHERE session = ?')
      .all(keyIn(dataDir, name))
    const put = database.prepare('UPDATE journal SET sealed = ? WHERE position = ?')
    for (const { position, sealed } of rows as { position: number; sealed: Uint8Array }[]) {
      put.run(flipped(sealed), position)
    }
    return rows.length
  })
}

/** The seq of the newest entry of a session. */
export const newestEntry = (dataDir: string, name: string): number =>
  withDatabase(join(dataDir, 'journal.db'), (database) => {
    const row = database
      .prepare('SELECT max(seq) AS seq FROM journal WHERE session = ?')
      .get(keyIn(dataDir, name))
    return Number(row?.['seq'])
  })

/** The seq up to which the last status of a session saw its journal. */
export const seenByStatus = (dataDir: string, name: string): number =>
  withDatabase(join(dataDir, 'records.db'), (database) => {
    const row = database.prepare('SELECT status FROM sessions WHERE key = ?').get(name)
    return (JSON.parse(String(row?.['status'])) as { witness: { seq: number } }).witness.seq
  })

/** The journal of a session as a backup of it has it that is a moment old. Answers how many entries are gone. */
export const loseEntriesFrom = (dataDir: string, name: string, seq: number): number =>
  withDatabase(join(dataDir, 'journal.db'), (database) => {
    const lose = database.prepare('DELETE FROM journal WHERE session = ? AND seq >= ?')
    return Number(lose.run(keyIn(dataDir, name), seq).changes)
  })

/** Flips a byte in the newest snapshots of a session. Answers how many there were. */
export async function damageSnapshots(dataDir: string, name: string, newest = Infinity): Promise<number> {
  const paths = await snapshotFiles(dataDir, name)
  for (const path of paths.slice(-newest)) await writeFile(path, flipped(await readFile(path)))
  return paths.length
}

/** Nothing of what a session stored is left; that it exists, and was paired, is. */
export async function loseEverything(dataDir: string, name: string): Promise<void> {
  withDatabase(join(dataDir, 'journal.db'), (database) =>
    database.prepare('DELETE FROM journal WHERE session = ?').run(keyIn(dataDir, name)),
  )
  withDatabase(join(dataDir, 'records.db'), (database) =>
    database.prepare('DELETE FROM snapshots WHERE session = ?').run(keyIn(dataDir, name)),
  )
  for (const path of await snapshotFiles(dataDir, name)) await rm(path)
}

/** Oldest first: the names begin with epoch and seq. */
async function snapshotFiles(dataDir: string, name: string): Promise<string[]> {
  const folder = join(dataDir, 'blobs', 'objects', 'snapshots', folderOf(keyIn(dataDir, name)))
  const names = await readdir(folder).catch(() => [])
  const numbers = (file: string): number[] => file.split('-').slice(0, 2).map(Number)
  const byAge = names.toSorted((a, b) => {
    const [[epochA = 0, seqA = 0], [epochB = 0, seqB = 0]] = [numbers(a), numbers(b)]
    return epochA - epochB || seqA - seqB
  })
  return byAge.map((file) => join(folder, file))
}

function flipped(bytes: Uint8Array): Buffer {
  const copy = Buffer.from(bytes)
  const middle = copy.length >> 1
  copy[middle] = (copy[middle] ?? 0) ^ 0x01
  return copy
}

function withDatabase<T>(path: string, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(path, { timeout: 5_000 })
  try {
    return work(database)
  } finally {
    database.close()
  }
}
