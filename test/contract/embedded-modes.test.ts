import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openAt, temporaryFolder } from './embedded-subject.ts'
import { entry, keyOf, lease, newSession } from './samples.ts'

const KEY = keyOf('t', 's')

/** Every file and folder that others may do something with, and how many there are in all. */
async function openToOthers(path: string): Promise<{ open: string[]; all: number }> {
  const paths = [path, ...(await readdir(path, { recursive: true })).map((name) => join(path, name))]
  const modes = await Promise.all(paths.map(async (one) => ({ one, mode: (await stat(one)).mode })))
  const open = modes.filter(({ mode }) => (mode & 0o077) !== 0)
  return { open: open.map(({ one, mode }) => `${one} ${(mode & 0o777).toString(8)}`), all: paths.length }
}

/** Writes something of every kind, and looks while everything is open. */
async function use(dataDir: string): Promise<void> {
  const stores = await openAt(dataDir)
  await stores.sessions.create(newSession('t', 's'))
  await stores.journal.append(KEY, entry(1))
  await stores.blobs.create('snapshots/t/s/1', [Uint8Array.of(1)])
  await stores.runners.renew(lease('a', 1))
  const { open, all } = await openToOthers(dataDir)
  expect(open).toEqual([])
  // Databases with their logs and indexes, locks, key, object, and the folders.
  expect(all).toBeGreaterThan(14)
  await stores.close()
}

test.for(['is made', 'was there before, open to all'])(
  'every file and folder is for its user alone, in a data directory that %s',
  async (how) => {
    await using folder = await temporaryFolder()
    const dataDir = join(folder.path, 'data')
    if (how !== 'is made') {
      await mkdir(dataDir)
      await chmod(dataDir, 0o777)
    }
    await use(dataDir)
    expect((await openToOthers(dataDir)).open).toEqual([])
  },
)

test('what an earlier version left open to others is closed to them, and goes on', async () => {
  await using folder = await temporaryFolder()
  await (await openAt(folder.path)).close()
  for (const name of await readdir(folder.path)) {
    const path = join(folder.path, name)
    if (name !== 'key') await chmod(path, (await stat(path)).isDirectory() ? 0o755 : 0o644)
  }
  await chmod(folder.path, 0o755)
  await use(folder.path)
})

test.for([
  ['holds what is not of Mooring', 0o755],
  ['is one that everybody writes in', 0o1777],
] as const)('a folder that %s is not closed to others but refused', async ([why, mode]) => {
  await using folder = await temporaryFolder()
  if (mode === 0o755) await writeFile(join(folder.path, 'notes.txt'), 'mine')
  await chmod(folder.path, mode)
  const refused = {
    code: 'config',
    message: expect.stringContaining(why),
    hint: expect.stringContaining('MOORING_DATA_DIR'),
  }
  await expect(openAt(folder.path)).rejects.toMatchObject(refused)
  expect((await stat(folder.path)).mode & 0o7777).toBe(mode)
  expect((await readdir(folder.path)).filter((name) => name !== 'notes.txt')).toEqual([])
  // Of its owner's own will it is taken all the same.
  await chmod(folder.path, 0o700)
  await (await openAt(folder.path)).close()
  if (mode === 0o755) expect(await readFile(join(folder.path, 'notes.txt'), 'utf8')).toBe('mine')
})
