import { chmod, readFile, readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { makeEmbedded, openAt, temporaryFolder } from './embedded-subject.ts'
import { eventually } from './eventually.ts'
import { AT, entry, keyOf, newSession } from './samples.ts'

const KEY = keyOf('t', 's')
const AAD = 't|s|k1'
const HEX = 'ab'.repeat(32)

test.for(['records.db', 'journal.db'])('refuses %s of a newer version with a sentence', async (name) => {
  await using folder = await temporaryFolder()
  await (await openAt(folder.path)).close()
  const database = new DatabaseSync(join(folder.path, name))
  database.exec('PRAGMA user_version = 99')
  database.close()
  const refused = { code: 'config', message: expect.stringContaining('newer version of Mooring') }
  await expect(openAt(folder.path)).rejects.toMatchObject(refused)
})

test('opens a folder that many open at the same moment for the first time', async () => {
  await using folder = await temporaryFolder()
  const clients = await Promise.all([1, 2, 3, 4].map(() => openAt(join(folder.path, 'new', 'data'))))
  await clients[0]?.sessions.create(newSession('t', 's'))
  for (const client of clients) expect(await client.sessions.get(KEY)).toBeDefined()
  const { wrapped } = (await clients[1]?.keys.wrap(new Uint8Array(32), AAD)) ?? { wrapped: new Uint8Array() }
  expect(await clients[2]?.keys.unwrap(wrapped, AAD)).toEqual(new Uint8Array(32))
  await Promise.all(clients.map((client) => client.close()))
})

test('makes a key file that only its owner can read, and refuses one that others can', async () => {
  await using folder = await temporaryFolder()
  await (await openAt(folder.path)).close()
  const path = join(folder.path, 'key')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  await chmod(path, 0o640)
  const refused = { code: 'config', message: expect.stringContaining(`chmod 600 ${path}`) }
  await expect(openAt(folder.path)).rejects.toMatchObject(refused)
})

test('refuses a key file with a line that is no key, and names the line', async () => {
  await using folder = await temporaryFolder()
  await (await openAt(folder.path)).close()
  await writeFile(join(folder.path, 'key'), `# the new one\n${HEX}\nshort\n`)
  const refused = { code: 'config', message: expect.stringContaining('line 3') }
  await expect(openAt(folder.path)).rejects.toMatchObject(refused)
})

test('wraps with the first key of the file and unwraps with all', async () => {
  await using folder = await temporaryFolder()
  const old = await openAt(folder.path)
  const { wrapped, keyVersion } = await old.keys.wrap(new Uint8Array(32).fill(7), AAD)
  await old.close()
  const path = join(folder.path, 'key')
  await writeFile(path, `${HEX}\n${await readFile(path, 'utf8')}`)
  const rotated = await openAt(folder.path)
  expect(await rotated.keys.currentVersion()).not.toBe(keyVersion)
  expect(await rotated.keys.unwrap(wrapped, AAD)).toEqual(new Uint8Array(32).fill(7))
  await rotated.close()
  await writeFile(path, `${HEX}\n`)
  const without = await openAt(folder.path)
  await expect(without.keys.unwrap(wrapped, AAD)).rejects.toMatchObject({ code: 'wrong_key' })
  await without.close()
})

test('takes a key as hex, as base64 or as a long text, and the same text gives the same key', async () => {
  await using folder = await temporaryFolder()
  const versions: string[] = []
  const texts = [
    HEX,
    Buffer.from(HEX, 'hex').toString('base64'),
    'a long sentence that nobody else knows, ever',
  ]
  for (const text of [...texts, ...texts]) {
    const stores = await openAt(folder.path, text)
    versions.push(await stores.keys.currentVersion())
    await stores.close()
  }
  expect(versions.slice(0, 3)).toEqual(versions.slice(3))
  expect(versions[0]).toBe(versions[1])
  expect(versions[2]).not.toBe(versions[0])
  expect(await readdir(folder.path)).not.toContain('key')
})

test('refuses a text that is too short to be a key', async () => {
  await using folder = await temporaryFolder()
  await expect(openAt(folder.path, 'hunter2')).rejects.toMatchObject({ code: 'config', field: 'MOORING_KEY' })
})

test('leaves no trace of a destroyed data key in its files', async () => {
  const subject = await makeEmbedded()
  const secret = Buffer.from('a wrapped key that is to be gone for good')
  const { sessions } = subject.stores
  await sessions.create(newSession('t', 's'))
  await sessions.putDataKey(KEY, { id: 'k1', wrapped: secret, keyVersion: 'v1', createdAt: AT })
  const isOnDisk = async () => {
    const names = await readdir(subject.dataDir)
    const files = names.filter((name) => name.startsWith('records.db'))
    const found = await Promise.all(files.map((name) => readFile(join(subject.dataDir, name))))
    return found.some((bytes) => bytes.includes(secret))
  }
  expect(await isOnDisk()).toBe(true)
  await sessions.destroyDataKeys(KEY, ['k1'])
  expect(await isOnDisk()).toBe(false)
  await subject.close()
})

test.for(['../outside', 'a/../../b', '/etc/passwd', 'a//b', 'a/./b', '', 'a\0b', 'a b', 'a/', '..'])(
  'refuses the name %j for an object',
  async (name) => {
    const subject = await makeEmbedded()
    const refused = { code: 'invalid_field' }
    await expect(subject.stores.blobs.create(name, [])).rejects.toMatchObject(refused)
    await expect(subject.stores.blobs.remove(name)).rejects.toMatchObject(refused)
    await expect(subject.stores.blobs.read(name)[Symbol.asyncIterator]().next()).rejects.toMatchObject(
      refused,
    )
    await subject.close()
  },
)

test('lists no scratch file, and removes the old ones at the next start', async () => {
  const subject = await makeEmbedded()
  const scratch = join(subject.dataDir, 'blobs', 'scratch')
  await writeFile(join(scratch, 'left-behind'), 'half')
  expect(await subject.stores.blobs.list('')).toEqual([])
  await subject.stores.blobs.create('a', [Uint8Array.of(1)])
  expect(await readdir(scratch)).toEqual(['left-behind'])
  await writeFile(join(scratch, 'being-written'), 'half')
  const longAgo = new Date(Date.now() - 2 * 3_600_000)
  await utimes(join(scratch, 'left-behind'), longAgo, longAgo)
  await subject.reopen()
  expect(await readdir(scratch)).toEqual(['being-written'])
  await subject.close()
})

test('says overloaded when too much waits for the disk, and works again afterwards', async () => {
  const subject = await makeEmbedded()
  const { journal } = subject.stores
  const sealed = new Uint8Array(8 << 20)
  const appends = Array.from({ length: 12 }, (_, index) => journal.append(KEY, entry(index + 1, { sealed })))
  const ends = await Promise.allSettled(appends)
  const refused = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
  expect(refused.length).toBeGreaterThan(0)
  for (const reason of refused) expect(reason).toMatchObject({ code: 'overloaded' })
  await journal.append(KEY, entry(99))
  expect(await journal.head(KEY)).toMatchObject({ seq: 99 })
  await subject.close()
})

test('waits for another process that writes, and says store_unavailable when that takes too long', async () => {
  const subject = await makeEmbedded()
  const other = new DatabaseSync(join(subject.dataDir, 'records.db'))
  other.exec('BEGIN IMMEDIATE')
  const late = subject.stores.sessions.create(newSession('t', 'late'))
  await expect(late).rejects.toMatchObject({ code: 'store_unavailable' })
  let created = false
  const waiting = subject.stores.sessions.create(newSession('t', 's')).then(() => (created = true))
  // Reading is free while another writes.
  expect(await subject.stores.sessions.get(KEY)).toBeUndefined()
  expect(created).toBe(false)
  other.exec('ROLLBACK')
  other.close()
  await waiting
  await eventually('it is there', () => subject.stores.sessions.get(KEY))
  await subject.close()
})
