import { cp, mkdir, open, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import type { CodedError } from '#shared/errors.ts'
import type { Stores } from '#shared/store/stores.ts'
import { openAt, temporaryFolder } from './embedded-subject.ts'
import { isRoot, smallDisk } from './small-disk.ts'
import { AT, entry, keyOf, newSession } from './samples.ts'

const KEY = keyOf('t', 's')

/** A session that sealed something: a data key, an entry, an object. Answers the folder, closed. */
async function sealed(path: string, keyText?: string): Promise<void> {
  const stores = await openAt(path, keyText)
  await stores.sessions.create(newSession('t', 's'))
  const { wrapped, keyVersion } = await stores.keys.wrap(new Uint8Array(32), 't|s|k1')
  await stores.sessions.putDataKey(KEY, { id: 'k1', wrapped, keyVersion, createdAt: AT })
  await stores.journal.append(KEY, entry(1))
  await stores.blobs.create('snapshots/t/s/1-1-n', [Uint8Array.of(1)])
  await stores.close()
}

const refusal = (path: string, keyText?: string): Promise<CodedError> =>
  openAt(path, keyText).then(
    async (stores) => {
      await stores.close()
      throw new Error('it opened')
    },
    (error: unknown) => error as CodedError,
  )

const namesBelow = async (path: string) => (await readdir(path, { recursive: true })).toSorted()

/** What becomes of a data directory, the file that the error must name, and words that must be in it and in its hint. */
const LOSSES: readonly [
  what: string,
  lose: (at: (name: string) => string) => Promise<unknown>,
  name: string,
  says: RegExp,
][] = [
  ['the key file is deleted', (at) => rm(at('key')), 'key', /there is no key.*Put the key file back/s],
  [
    'the key file is another one',
    (at) => writeFile(at('key'), 'ab'.repeat(32)),
    'key',
    /not the one.*Put the key file back/s,
  ],
  [
    'the records are deleted',
    (at) => rm(at('records.db')),
    'records.db',
    /a journal, a key, backups.*move the whole/s,
  ],
  [
    'the records are cut to nothing',
    (at) => truncate(at('records.db')),
    'records.db',
    /is missing.*move the whole/s,
  ],
  ['the journal is deleted', (at) => rm(at('journal.db')), 'journal.db', /is missing.*back from a backup/s],
  [
    'the objects are deleted',
    (at) => rm(at('blobs'), { recursive: true }),
    'blobs/objects',
    /is missing.*from a backup/s,
  ],
  [
    'the records are cut in the middle',
    async (at) => truncate(at('records.db'), Math.floor((await stat(at('records.db'))).size / 2)),
    'records.db',
    /damaged.*back from a backup/s,
  ],
  [
    'the journal is overwritten',
    (at) => writeFile(at('journal.db'), 'x'.repeat(9000)),
    'journal.db',
    /damaged.*keep the file/s,
  ],
]

test.for(LOSSES)(
  'when %s, it does not open, says which and what to do, and makes nothing new',
  async ([, lose, name, says]) => {
    await using folder = await temporaryFolder()
    await sealed(folder.path)
    await lose((part) => join(folder.path, part))
    const left = await namesBelow(folder.path)
    const error = await refusal(folder.path)
    expect(error).toMatchObject({ code: 'config', message: expect.stringContaining(join(folder.path, name)) })
    expect(`${error.message} ${error.hint}`).toMatch(says)
    expect(await namesBelow(folder.path)).toEqual(left)
  },
)

test('a table that is damaged is told by who reads it, with the file, and the others go on', async () => {
  await using folder = await temporaryFolder()
  await sealed(folder.path)
  const path = join(folder.path, 'records.db')
  const database = new DatabaseSync(path)
  const rootOf = "SELECT rootpage AS page FROM sqlite_schema WHERE name = 'sessions'"
  const { page } = database.prepare(rootOf).get() as { page: number }
  database.close()
  const handle = await open(path, 'r+')
  await handle.write(Buffer.alloc(4096, 'x'), 0, 4096, (page - 1) * 4096)
  await handle.close()
  const stores = await openAt(folder.path)
  const damaged = {
    code: 'store_unavailable',
    message: `read a session: ${path}: the file is damaged, or is no database of Mooring`,
    hint: expect.stringContaining('from a backup'),
  }
  await expect(stores.sessions.get(KEY)).rejects.toMatchObject(damaged)
  expect(await stores.tenants.list()).toEqual([])
  await stores.close()
})

test('a MOORING_KEY that sealed nothing of what is there does not open it, and the right one does', async () => {
  await using folder = await temporaryFolder()
  const text = 'the sentence that this was sealed with, once'
  await sealed(folder.path, text)
  for (const wrong of [undefined, 'another sentence, as long as it has to be.'])
    expect(await refusal(folder.path, wrong)).toMatchObject({
      code: 'config',
      hint: expect.stringContaining('MOORING_KEY'),
    })
  await (await openAt(folder.path, text)).close()
})

test('what was lost and is put back opens as it was', async () => {
  await using folder = await temporaryFolder()
  await sealed(folder.path)
  const [path, aside] = [join(folder.path, 'records.db'), join(folder.path, 'aside')]
  await rename(path, aside)
  await refusal(folder.path)
  await rename(aside, path)
  const stores = await openAt(folder.path)
  expect(await stores.sessions.get(KEY)).toMatchObject({ id: 's', dataKeys: [{ id: 'k1' }] })
  await stores.close()
})

test('a first start that was cut short goes on, whatever it had made', async () => {
  await using folder = await temporaryFolder()
  const whole = join(folder.path, 'whole')
  await (await openAt(whole)).close()
  for (const made of [['records.db'], ['records.db', 'journal.db'], ['records.db', 'journal.db', 'blobs']]) {
    const cut = join(folder.path, String(made.length))
    await mkdir(cut)
    for (const name of made) await cp(join(whole, name), join(cut, name), { recursive: true })
    await (await openAt(cut)).close()
  }
})

test('a data directory that is a file, or below one, is refused with what to do', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'data')
  await writeFile(path, 'a file')
  for (const dataDir of [path, join(path, 'below')]) {
    const error = await refusal(dataDir)
    expect(error).toMatchObject({ code: 'config', message: expect.stringContaining(path) })
    expect(error.hint).toContain('MOORING_DATA_DIR')
  }
})

describe.skipIf(!isRoot)('on a disk of its own', () => {
  /** A write of every kind, each larger than what the log has room for. */
  const big = new Uint8Array(8 << 20)
  const writes = ({ journal, blobs, outbox }: Stores): readonly Promise<unknown>[] => [
    journal.append(KEY, entry(2, { sealed: big })),
    blobs.create('snapshots/t/s/2', [big]),
    ...Array.from({ length: 6 }, (_, index) =>
      outbox.enqueue(KEY, {
        id: `m${index}`,
        to: 'x@s.whatsapp.net',
        request: new Uint8Array(900_000),
        state: 'queued',
        acceptedAt: AT,
        updatedAt: AT,
      }),
    ),
  ]

  test('while it is full every write says so, of which file, and what to do; reads go on, and then all goes on', async () => {
    await using full = await smallDisk()
    const stores = await openAt(full.dataDir)
    await stores.sessions.create(newSession('t', 's'))
    await full.fill()
    const ends = await Promise.allSettled(writes(stores))
    const refused = ends.filter((end) => end.status === 'rejected')
    expect(ends[0]?.status).toBe('rejected')
    expect(ends[1]?.status).toBe('rejected')
    for (const { reason } of refused) {
      expect(reason).toMatchObject({
        code: 'store_unavailable',
        hint: expect.stringContaining('Free some space'),
      })
      expect((reason as Error).message).toMatch(/: \S+(db|2=): no space is left on its disk$/)
    }
    expect(refused.length).toBeGreaterThan(2)
    expect(await stores.sessions.get(KEY)).toBeDefined()
    await full.free()
    await stores.journal.append(KEY, entry(1))
    await stores.blobs.create('snapshots/t/s/1', [Uint8Array.of(1)])
    await stores.close()
  })

  test('a start on a full disk says so, and not that a setting is wrong', async () => {
    await using full = await smallDisk()
    await mkdir(full.dataDir, { mode: 0o700 })
    await full.fill()
    const error = await refusal(full.dataDir)
    expect(error).toMatchObject({
      code: 'store_unavailable',
      hint: expect.stringContaining('Free some space'),
    })
    expect(error.message).toContain(full.dataDir)
    await full.free()
    await (await openAt(full.dataDir)).close()
  })

  test('a disk that can only be read is told at the start', async () => {
    await using readOnly = await smallDisk()
    await sealed(readOnly.dataDir)
    readOnly.remount('ro')
    const error = await refusal(readOnly.dataDir)
    expect(error).toMatchObject({ code: 'config', message: expect.stringContaining(readOnly.dataDir) })
    expect(error.hint).toContain('for writing')
    readOnly.remount('rw')
    await (await openAt(readOnly.dataDir)).close()
  })
})

test.skipIf(!isRoot)('a data directory of somebody else is refused with what to do', async () => {
  await using folder = await temporaryFolder()
  await sealed(folder.path)
  process.seteuid?.(65_534)
  try {
    const error = await refusal(folder.path)
    expect(error).toMatchObject({ code: 'config', message: expect.stringContaining(folder.path) })
    expect(error.hint).toContain('chown')
  } finally {
    process.seteuid?.(0)
  }
})
