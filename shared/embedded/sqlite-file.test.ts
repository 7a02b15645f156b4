import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CodedError } from '../errors.ts'
import { SqliteFile } from './sqlite-file.ts'

const FIRST = 'CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)'

let folder: string
let file: SqliteFile

const open = (migrations: readonly string[], onBroken?: (error: Error) => void) =>
  SqliteFile.open({
    path: join(folder, 'notes.db'),
    migrations,
    logBytes: 1 << 16,
    ...(onBroken && { onBroken }),
  })
const add = (text: string) => file.run('INSERT INTO notes (text) VALUES (?)', text)
const texts = () => file.all<{ text: string }>('SELECT text FROM notes ORDER BY id').map(({ text }) => text)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mooring-sqlite-'))
  file = open([FIRST])
})

afterEach(async () => {
  await file.close()
  await rm(folder, { recursive: true })
})

test('commits all that waits at the same time at once', async () => {
  let commits = 0
  file.onCommit = () => (commits += 1)
  await Promise.all(['a', 'b', 'c'].map((text) => file.write('add', () => add(text))))
  expect(texts()).toEqual(['a', 'b', 'c'])
  expect(commits).toBe(1)
})

test('rejects a task that refuses before it writes, and only that one', async () => {
  const refusal = new CodedError('conflict', 'refused')
  const ends = await Promise.allSettled([
    file.write('add', () => add('a')),
    file.write('refuse', () => {
      throw refusal
    }),
    file.write('add', () => add('b')),
  ])
  expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(ends[1]).toMatchObject({ reason: refusal })
  expect(texts()).toEqual(['a', 'b'])
})

test('a task that throws after it wrote takes nothing back but its own', async () => {
  const bug = new TypeError('a bug')
  const ends = await Promise.allSettled([
    file.write('add', () => add('a')),
    file.write('break', () => {
      add('half')
      throw bug
    }),
    file.write('add', () => add('b')),
  ])
  expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(ends[1]).toMatchObject({ reason: bug })
  expect(texts()).toEqual(['a', 'b'])
})

test('a value that breaks a rule of the table is refused for good, and those who wait with it are not', async () => {
  const insert = (id: unknown, text: unknown) => () =>
    file.run('INSERT INTO notes (id, text) VALUES (?, ?)', id as number, text as string)
  const ends = await Promise.allSettled([
    file.write('no text', insert(1, null)),
    file.write('no id', insert('x', 'a')),
    file.write('no kind', insert(2, {})),
    file.write('good', insert(3, 'good')),
    file.write('twice', insert(3, 'again')),
  ])
  const never = { status: 'rejected', reason: { code: 'store_refused' } }
  expect(ends).toMatchObject([never, never, never, { status: 'fulfilled' }, never])
  expect(texts()).toEqual(['good'])
})

test('says that the disk is full and of which file, refuses what waits, and goes on when it is not', async () => {
  file.get('PRAGMA max_page_count = 4')
  const long = 'x'.repeat(100_000)
  const refused = await Promise.allSettled([
    file.write('add', () => add('a')),
    file.write('add', () => add(long)),
  ])
  for (const end of refused)
    expect(end).toMatchObject({
      reason: {
        code: 'store_unavailable',
        message: `add: ${join(folder, 'notes.db')}: no space is left on its disk`,
        hint: expect.stringContaining('Free some space'),
      },
    })
  expect(texts()).toEqual([])
  file.get('PRAGMA max_page_count = 10000')
  await file.write('add', () => add(long))
  expect(texts()).toEqual([long])
})

test('lets the event loop turn under one who reads without end', async () => {
  const timer = { ran: false }
  setTimeout(() => (timer.ran = true), 1)
  let reads = 0
  do reads += await file.read('read', () => texts().length + 1)
  while (!timer.ran)
  expect(reads).toBeGreaterThan(0)
})

test('finishes what was asked before it closes, and takes nothing more', async () => {
  const asked = file.write('add', () => add('a'))
  const closing = file.close()
  const late = file.write('add', () => add('late'))
  await expect(late).rejects.toMatchObject({ code: 'store_unavailable' })
  await asked
  await closing
  file = open([FIRST])
  expect(texts()).toEqual(['a'])
})

describe('when a transaction can not be taken back', () => {
  /** No disk that can be had here fails in a ROLLBACK and nowhere else. */
  const failRollbacks = () =>
    vi.spyOn(DatabaseSync.prototype, 'exec').mockImplementation(() => {
      throw Object.assign(new Error('disk I/O error'), { code: 'ERR_SQLITE_ERROR', errcode: 10 })
    })

  test('everything that waits and everything later is refused with the reason, and the process is told once', async () => {
    const broken: Error[] = []
    await file.close()
    file = open([FIRST], (error) => broken.push(error))
    const exec = failRollbacks()
    const spoil = () => {
      add('half')
      throw new TypeError('a bug')
    }
    const ends = await Promise.allSettled([
      file.write('good', () => add('a')),
      file.write('spoil', spoil),
      // Of the next group: it is not even begun.
      ...Array.from({ length: 300 }, () => file.write('later', () => add('b'))),
    ])
    const after = [file.write('after', () => add('c')), file.read('read', () => texts()), file.check()]
    const reason = {
      code: 'store_unavailable',
      message: expect.stringContaining('could not be taken back'),
      hint: expect.stringContaining('The process ends'),
    }
    const refused = [...ends.filter((_, index) => index !== 1), ...(await Promise.allSettled(after))]
    for (const end of refused) expect(end).toMatchObject({ status: 'rejected', reason })
    expect(broken).toEqual([expect.objectContaining({ message: expect.stringContaining('notes.db') })])
    exec.mockRestore()
    await file.close()
    file = open([FIRST])
    expect(texts()).toEqual([])
  })
})

test('runs only the migrations that a file has not been through', async () => {
  await file.write('add', () => add('a'))
  await file.close()
  const second = "ALTER TABLE notes ADD COLUMN at INTEGER NOT NULL DEFAULT 7; UPDATE notes SET text = 'moved'"
  file = open([FIRST, second])
  expect(file.all('SELECT text, at FROM notes')).toEqual([{ text: 'moved', at: 7 }])
  await file.write('change', () => file.run("UPDATE notes SET text = 'mine'"))
  await file.close()
  file = open([FIRST, second])
  expect(texts()).toEqual(['mine'])
})

test('leaves a file as it was when a migration fails', async () => {
  await file.close()
  expect(() => open([FIRST, 'CREATE TABLE more (id); CREATE TABLE notes (id)'])).toThrow('notes')
  file = open([FIRST])
  expect(file.all("SELECT name FROM sqlite_schema WHERE name = 'more'")).toEqual([])
})
