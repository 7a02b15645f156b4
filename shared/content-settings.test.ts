import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { contentSecret } from './content-settings.ts'

const USE = { salt: new Uint8Array(32), label: 'bodies' }
const keyOf = (number: number): string => Buffer.alloc(32, number).toString('base64')

/** A data directory whose key file has these, newest first. */
async function directoryOf(...keys: readonly number[]): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'mooring-content-'))
  onTestFinished(() => rm(path, { recursive: true }))
  if (keys.length > 0) await writeFile(join(path, 'key'), keys.map(keyOf).join('\n'), { mode: 0o600 })
  return path
}
const secretOf = (path: string, MOORING_KEY?: string) =>
  contentSecret({
    MOORING_STORE: 'embedded',
    MOORING_DATA_DIR: path,
    MOORING_CONTENT_SECRET: undefined,
    MOORING_KEY,
  })

test('what was sealed under the key of an installation opens after the key was rotated', async () => {
  const sealed = (await secretOf(await directoryOf(1))).seal(Buffer.from('hello'), USE, 'place')
  const rotated = await secretOf(await directoryOf(2, 1))
  expect(Buffer.from(rotated.open(sealed, USE, 'place')).toString()).toBe('hello')
  const another = await secretOf(await directoryOf(2))
  expect(() => another.open(sealed, USE, 'place')).toThrow('data key')
})

test('an installation whose key was rotated many times starts, and the newest keys count', async () => {
  const sealed = (await secretOf(await directoryOf(12))).seal(Buffer.from('hello'), USE, 'place')
  const many = await secretOf(await directoryOf(...Array.from({ length: 12 }, (_, at) => 12 - at)))
  expect(Buffer.from(many.open(sealed, USE, 'place')).toString()).toBe('hello')
})

test('it follows from a key that is set as from one in a file', async () => {
  const sealed = (await secretOf(await directoryOf(), keyOf(3))).seal(Buffer.from('hello'), USE, 'place')
  const inFile = await secretOf(await directoryOf(3))
  expect(Buffer.from(inFile.open(sealed, USE, 'place')).toString()).toBe('hello')
})

test('where there is no key, and on Google Cloud no secret, that is said', async () => {
  const empty = await directoryOf()
  await expect(secretOf(empty)).rejects.toMatchObject({ code: 'config' })
  const google = contentSecret({
    MOORING_STORE: 'google',
    MOORING_DATA_DIR: empty,
    MOORING_CONTENT_SECRET: undefined,
    MOORING_KEY: undefined,
  })
  await expect(google).rejects.toThrow('MOORING_CONTENT_SECRET')
})
