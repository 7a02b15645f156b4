import { expect, test } from 'vitest'
import { CodedError } from '../errors.ts'
import { openingError, storeError } from './sqlite-error.ts'

const sqlite = (errcode: number) =>
  Object.assign(new Error('of SQLite'), { code: 'ERR_SQLITE_ERROR', errcode })
const system = (code: string) => Object.assign(new Error('of the system'), { code, errno: -1 })

/** What was thrown; what it is while it runs; what it is at the start; what a person reads. */
const ROWS: readonly [thrown: Error, running: string, starting: string, says: string][] = [
  [sqlite(13), 'store_unavailable', 'store_unavailable', 'no space is left'],
  [system('ENOSPC'), 'store_unavailable', 'store_unavailable', 'no space is left'],
  [system('EDQUOT'), 'store_unavailable', 'store_unavailable', 'no space is left'],
  // An extended code (SQLITE_IOERR_SHMSIZE) is what its primary code is.
  [sqlite(10 | (19 << 8)), 'store_unavailable', 'store_unavailable', 'I/O error'],
  [system('EIO'), 'store_unavailable', 'store_unavailable', 'I/O error'],
  [system('EMFILE'), 'store_unavailable', 'store_unavailable', 'no more files'],
  [sqlite(11), 'store_unavailable', 'config', 'damaged'],
  [sqlite(26), 'store_unavailable', 'config', 'damaged'],
  [sqlite(8), 'store_unavailable', 'config', 'only be read'],
  [system('EROFS'), 'store_unavailable', 'config', 'only be read'],
  [system('EACCES'), 'store_unavailable', 'config', 'may not use it'],
  [system('ENOTDIR'), 'store_unavailable', 'config', 'a file stands'],
  [sqlite(14), 'store_unavailable', 'config', 'can not be opened'],
  [sqlite(5), 'store_unavailable', 'store_unavailable', ''],
  [sqlite(18), 'store_refused', 'store_refused', ''],
  [sqlite(19 | (8 << 8)), 'store_refused', 'store_refused', ''],
  [sqlite(20), 'store_refused', 'store_refused', ''],
]

test.for(ROWS)('%o is %s while it runs and %s at the start', ([thrown, running, starting, says]) => {
  const whileRunning = storeError('read', thrown, '/data/records.db')
  const atTheStart = openingError('open', thrown, '/data/records.db')
  expect(whileRunning).toMatchObject({ code: running, cause: thrown, message: expect.stringContaining(says) })
  expect(atTheStart).toMatchObject({ code: starting, cause: thrown })
  if (says === '') return
  expect(whileRunning.message).toMatch(/^read: \/data\/records\.db: /)
  expect(atTheStart.message).toMatch(/^open: \/data\/records\.db: /)
  expect((atTheStart as CodedError).hint).not.toBe(new CodedError('config', '').hint)
})

test('a bug stays what it is', () => {
  const bug = sqlite(1)
  expect(storeError('read', bug)).toBe(bug)
  expect(openingError('open', bug, '/data')).toBe(bug)
})
