import { describe, expect, test } from 'vitest'
import { newTenantSalt, readContentSecret } from './content-secret.ts'

const OLD = 'o'.repeat(32)
const NEW = 'n'.repeat(40)
const salt = newTenantSalt()
const use = { salt, label: 'messages' }
const bytes = Buffer.from('hello')
const bad = (work: () => unknown) => expect(work).toThrow(expect.objectContaining({ code: 'bad_bytes' }))

describe('what is sealed with the content secret', () => {
  test('opens in its own place', () => {
    const secret = readContentSecret(NEW)
    expect(Buffer.from(secret.open(secret.seal(bytes, use, 'acme|m1'), use, 'acme|m1'))).toEqual(bytes)
  })

  test('opens nowhere else: another place, use or tenant, or changed', () => {
    const secret = readContentSecret(NEW)
    const sealed = secret.seal(bytes, use, 'acme|m1')
    bad(() => secret.open(sealed, use, 'acme|m2'))
    bad(() => secret.open(sealed, { salt, label: 'media' }, 'acme|m1'))
    bad(() => secret.open(sealed, { salt: newTenantSalt(), label: 'messages' }, 'acme|m1'))
    bad(() => secret.open(Buffer.from(sealed).fill(0, sealed.length - 16), use, 'acme|m1'))
    bad(() => readContentSecret(OLD).open(sealed, use, 'acme|m1'))
  })

  test('goes on opening while its version is among the others, and is sealed with the newest', () => {
    const sealed = readContentSecret(OLD).seal(bytes, use, 'acme|m1')
    const both = readContentSecret(`${NEW}, ${OLD}`)
    expect(Buffer.from(both.open(sealed, use, 'acme|m1'))).toEqual(bytes)
    const resealed = both.seal(bytes, use, 'acme|m1')
    expect(Buffer.from(readContentSecret(NEW).open(resealed, use, 'acme|m1'))).toEqual(bytes)
    bad(() => readContentSecret(NEW).open(sealed, use, 'acme|m1'))
  })

  test('by this version opens for ever', () => {
    // Golden: sealed by the first version of this file.
    const sealed = Buffer.from('AVFNc1ZtWW5Ox9LTjJB3RBz4irRBE4JSBT9SQ4E2ufCRyRGhdS4AT8Jp', 'base64')
    const golden = { salt: Buffer.alloc(32, 7), label: 'messages' }
    expect(Buffer.from(readContentSecret(OLD).open(sealed, golden, 'acme|m1'))).toEqual(bytes)
  })
})

test('keys differ by tenant, use and version, newest first, and are always the same', () => {
  const both = readContentSecret(`${NEW},${OLD}`)
  const [newest, oldest] = both.keys(use)
  expect([newest, oldest]).toEqual([readContentSecret(NEW).keys(use)[0], readContentSecret(OLD).keys(use)[0]])
  const others = [
    newest,
    oldest,
    both.keys({ salt, label: 'media' })[0],
    both.keys({ salt: newTenantSalt(), label: 'messages' })[0],
  ].map((key) => Buffer.from(key ?? []).toString('hex'))
  expect(new Set(others).size).toBe(4)
})

test.for<[why: string, text: string]>([
  ['is empty', ''],
  ['is short', 'n'.repeat(31)],
  ['has an empty version', `${NEW},`],
  ['has a version twice', `${NEW},${NEW}`],
  ['has too many', Array.from({ length: 9 }, (_, at) => `${at}`.repeat(32)).join(',')],
])('a content secret that %s is refused without being repeated', ([, text]) => {
  const refusal = { code: 'config', message: expect.not.stringContaining('nnnn') }
  expect(() => readContentSecret(text)).toThrow(expect.objectContaining(refusal))
})
