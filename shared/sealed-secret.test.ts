import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from './clock.ts'
import { openEmbeddedStores } from './embedded/open.ts'
import { systemRandom } from './random.ts'
import { jobSecretAad, openBytes, openSecret, sealBytes, sealSecret } from './sealed-secret.ts'
import type { Stores } from './store/stores.ts'

const AAD = jobSecretAad('acme~shop', 'job-1', 'passphrase')

let folder: string
const opened: Stores[] = []
const open = async (keyText: string): Promise<Stores> => {
  const dataDir = join(folder, `data-${opened.length}`)
  const stores = await openEmbeddedStores({ dataDir, clock: systemClock, random: systemRandom, keyText })
  opened.push(stores)
  return stores
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mooring-secret-'))
  await open('one key-encryption key of the tests')
})
afterAll(async () => {
  await Promise.all(opened.map((stores) => stores.close()))
  await rm(folder, { recursive: true, force: true })
})
const keys = () => (opened[0] as Stores).keys

describe('a sealed secret', () => {
  test.for(['correct horse', '', 'ü😀', 'x'.repeat(10_000)])('opens to what was sealed', async (text) => {
    const sealed = await sealSecret(keys(), text, AAD)
    expect(sealed).toMatch(/^[A-Za-z0-9+/=]+$/)
    expect(await openSecret(keys(), sealed, AAD)).toBe(text)
  })

  test('shows nothing of itself, and is another one every time', async () => {
    const [first, second] = await Promise.all([1, 2].map(() => sealSecret(keys(), 'correct horse', AAD)))
    expect(first).not.toBe(second)
    expect(Buffer.from(String(first), 'base64').toString('latin1')).not.toContain('horse')
  })

  test('opens only in the place that it was sealed for', async () => {
    const sealed = await sealSecret(keys(), 'correct horse', AAD)
    for (const other of [
      jobSecretAad('acme~other', 'job-1', 'passphrase'),
      jobSecretAad('acme~shop', 'job-2', 'passphrase'),
      jobSecretAad('acme~shop', 'job-1', 'import'),
    ]) {
      await expect(openSecret(keys(), sealed, other)).rejects.toMatchObject({ code: expect.any(String) })
    }
  })

  test('opens only with the key-encryption key that it was sealed under', async () => {
    const sealed = await sealSecret(keys(), 'correct horse', AAD)
    const other = await open('another key-encryption key of the tests')
    await expect(openSecret(other.keys, sealed, AAD)).rejects.toMatchObject({ code: expect.any(String) })
  })

  test('with any byte changed, cut or added does not open', async () => {
    const sealed = await sealBytes(keys(), Buffer.from('correct horse'), AAD)
    const damaged = [
      ...[...sealed.keys()].map((at) => sealed.with(at, (sealed[at] ?? 0) ^ 1)),
      ...[...sealed.keys()].map((at) => sealed.subarray(0, at)),
      Buffer.concat([sealed, Buffer.of(0)]),
    ]
    for (const one of damaged)
      await expect(openBytes(keys(), one, AAD)).rejects.toMatchObject({ code: expect.any(String) })
  })
})
