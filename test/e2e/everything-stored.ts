import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Installation } from './installation.ts'

/**
 * Everything that an installation has stored, as texts: every row of every table of every database, and the name and, but for
 * databases, the bytes of every file. Only what is sealed can't be looked into.
 */
export async function everythingStored(installation: Installation): Promise<string[]> {
  const found: string[] = []
  for (const root of [installation.dataDir, installation.workDir]) {
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      found.push(relative(root, path))
      if (entry.name.endsWith('.db')) found.push(...rowsOf(path))
      else if (!/\.db-(?:wal|shm)$/.test(entry.name)) found.push((await readFile(path)).toString('latin1'))
    }
  }
  return found
}

function rowsOf(path: string): string[] {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
    return tables.flatMap(({ name }) =>
      database
        .prepare(`SELECT * FROM ${String(name)}`)
        .all()
        .map((row) => `${String(name)} ${JSON.stringify(row)}`),
    )
  } finally {
    database.close()
  }
}
