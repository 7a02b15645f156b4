import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Decrypter, Encrypter, generateX25519Identity } from 'age-encryption'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { hasCode } from '#shared/errors.ts'
import { deriveAgeIdentity, readAgeIdentity, readAgeRecipients, type AgeIdentity } from './age-identity.ts'
import { ageOpen, ageOpenPieces, ageSeal, ageSealPieces } from './age.ts'

/** Made by age-keygen 1.1.1 for this test, and a file that age 1.1.1 sealed for it. */
const KEYGEN = 'AGE-SECRET-KEY-1QYWJ5N72Z36ADCD6FDUWWTGH3SUE9072F8MPN5ZYH8Y9YYWC6GDSHUYJ7V'
const BY_AGE =
  'YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBmdEZsU2plcllRNzVUcjFCWitjd0xSd2k4dHMrQlpYYWtSRTM5Y2VybDBzCkgrZVNKNklJNWljR2RiUnRJemUzYy9nV2p2d0hrUEtxOUtsa0krZmxWVW8KLS0tIDcrazRCN0RrYlBSOVRDWXM4eHluY3VhS3U3NFRqTUNXK2JTdXFnbG42VGsKPu1Ik7EsrAW6E2/G/YFpUrfdJFLsC1ScoaBwDKuTpm1cvbpuO7IGH1at48XH1AkFK/2T'
/** Sealed by age 1.1.1 under "correct horse battery staple", with the work factor that it always takes: 18. */
const BY_AGE_PASSPHRASE =
  'YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBpWnRnZUtzQ1JOOVlPbjdvR05lYmFBIDE4CnVOUzlKSU1UcVAxQzcvQkRQVFJhQW01UDN3dFNuRFBiZ3VBTXhhOXlMRHMKLS0tIDFPRHB5dFhQUk9HNW9PT1dVKys5TEYvV0dkMHFuWVFNRGpSWTRwSUJHKzQKNukLcdjmz9DQHcdvTc8usYaBzVTvkEWKU2pKmmWsDSK79FVLSL68NKBQvGBHwhvZ3TGcR3oaJRGfQ606mLdgqtjNIuOVxg=='
/** Sealed by the first version of this file, for the same identity. */
const BY_US =
  'YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSA0OEdXeUM3RlRaekhOMFU2ek9TL0dXb0FPc2RIMmYzV1E5VkVkTnNpMVhZCnlVbDZvMmtCbWlkL0Z0TWRLaHJ1YXdIK2RpR2trQkgremhka3hzVU1Nd0EKLS0tIGtzY1RjU1UvcEVnWGJsYnBrRVFaRXBQR0JjSTFROTRmNGZkazNXTHRnNjAKEgjikPsTlhNhoeJTtzt8UwKhG3bcIdXj0MKdWifcYVhiJEJRgW64fWBIlFQ='
const PASSPHRASE = 'correct horse battery staple'
const base64 = (text: string): Buffer => Buffer.from(text, 'base64')

const anyIdentity = async (): Promise<AgeIdentity> => readAgeIdentity(await generateX25519Identity())
const hello = Buffer.from('hello')

describe('a file for recipients', () => {
  test('is opened by each of them, and by nobody else', async () => {
    const [mine, yours, theirs] = [await anyIdentity(), await anyIdentity(), await anyIdentity()]
    const file = await ageSeal(hello, [mine.recipient, yours.recipient])
    expect(await ageOpen(file, [mine])).toEqual(hello)
    expect(await ageOpen(file, [theirs, yours])).toEqual(hello)
    await expect(ageOpen(file, [theirs])).rejects.toMatchObject({ code: 'wrong_recipient', retry: 'never' })
    await expect(ageOpen(file, { passphrase: PASSPHRASE })).rejects.toMatchObject({ code: 'wrong_recipient' })
  })

  test.for<[by: string, text: string, holds: string]>([
    ['age 1.1.1', BY_AGE, 'sealed by age 1.1.1'],
    ['the first version of this file', BY_US, 'sealed by us'],
  ])('that was sealed by %s opens for ever', async ([, text, holds]) => {
    expect((await ageOpen(base64(text), [await readAgeIdentity(KEYGEN)])).toString()).toBe(holds)
  })

  test('is sealed and opened in pieces of any size, also of none', async () => {
    const identity = await anyIdentity()
    const size = fc.integer({ min: 0, max: 200_000 })
    const made = async (pieces: Uint8Array[]) =>
      Array.fromAsync(ageOpenPieces(ageSealPieces(pieces, [identity.recipient]), [identity]))
    await fc.assert(
      fc.asyncProperty(fc.array(size, { maxLength: 4 }), async (sizes) => {
        const pieces = sizes.map((bytes, at) => Buffer.alloc(bytes, at + 1))
        expect(Buffer.concat(await made(pieces)).equals(Buffer.concat(pieces))).toBe(true)
      }),
      { numRuns: 20 },
    )
  })

  test('that can’t be read to its end fails with the reason of its source', async () => {
    const identity = await anyIdentity()
    const file = await ageSeal(Buffer.alloc(200_000), [identity.recipient])
    async function* broken() {
      yield file.subarray(0, 100_000)
      throw new Error('the network is gone')
    }
    await expect(Array.fromAsync(ageOpenPieces(broken(), [identity]))).rejects.toThrow('the network is gone')
  })
})

describe('a file under a passphrase', () => {
  test('is opened by it alone, by us and by the library', async () => {
    const file = await ageSeal(hello, { passphrase: PASSPHRASE })
    expect(await ageOpen(file, { passphrase: PASSPHRASE })).toEqual(hello)
    const library = new Decrypter()
    library.addPassphrase(PASSPHRASE)
    expect(Buffer.from(await library.decrypt(file))).toEqual(hello)
    const refusal = { code: 'wrong_passphrase', retry: 'never' }
    await expect(ageOpen(file, { passphrase: 'another' })).rejects.toMatchObject(refusal)
    await expect(ageOpen(file, [await anyIdentity()])).rejects.toMatchObject(refusal)
  })

  test('that the library made opens', async () => {
    const library = new Encrypter()
    library.setPassphrase(PASSPHRASE)
    library.setScryptWorkFactor(10)
    expect(await ageOpen(await library.encrypt(hello), { passphrase: PASSPHRASE })).toEqual(hello)
  })

  test('F3: that would cost too much is refused by its header', async () => {
    await expect(ageOpen(base64(BY_AGE_PASSPHRASE), { passphrase: PASSPHRASE })).rejects.toMatchObject({
      code: 'bad_age_file',
      message: expect.stringContaining('work factor is 18'),
    })
  })
})

describe('F3: what is no file for us is refused before anything is computed', () => {
  const header = (...lines: string[]) =>
    Buffer.from(['age-encryption.org/v1', ...lines, '--- x', ''].join('\n'))
  const salt = 'iZtgeKsCRN9YOn7oGNebaA'
  const body = 'uNS9JIMTqP1C7/BDPTRaAm5P3wtSnDPbguAMxa9yLDs'

  test.for<[why: string, file: Buffer]>([
    ['is empty', Buffer.alloc(0)],
    ['is something else', Buffer.from('{"creds":{}}')],
    ['is armored', Buffer.from('-----BEGIN AGE ENCRYPTED FILE-----\n')],
    ['is of another version', Buffer.from('age-encryption.org/v2\n--- x\n')],
    ['has a header without end', header(...Array.from({ length: 10_000 }, () => 'AAAA'))],
    ['has a line without end', Buffer.concat([header().subarray(0, 22), Buffer.alloc(1e6, 'A')])],
    ['has too many recipients', header(...Array.from({ length: 33 }, () => `-> X25519 ${salt}\n${body}`))],
    ['asks for more than 16', header(`-> scrypt ${salt} 17`, body)],
    ['asks for a number with many digits', header(`-> scrypt ${salt} ${'1'.repeat(400)}`, body)],
    ['asks for nothing', header(`-> scrypt ${salt}`, body)],
    ['asks for zero', header(`-> scrypt ${salt} 0`, body)],
    ['asks for a power of its own', header(`-> scrypt ${salt} 1e1`, body)],
    ['asks twice', header(`-> scrypt ${salt} 10`, body, `-> scrypt ${salt} 10`, body)],
    ['asks beside a recipient', header(`-> X25519 ${salt}`, body, `-> scrypt ${salt} 10`, body)],
    ['has a short salt', header('-> scrypt AAAA 10', body)],
    ['has a short key', header(`-> scrypt ${salt} 10`, 'AAAA')],
  ])('because it %s', async ([, file]) => {
    const refusal = { code: 'bad_age_file', retry: 'never' }
    await expect(ageOpen(file, { passphrase: PASSPHRASE })).rejects.toMatchObject(refusal)
  })

  test('however it is cut or changed, and says nothing of what it held', async () => {
    const identity = await anyIdentity()
    const file = await ageSeal(Buffer.alloc(70_000, 'secret'), [identity.recipient])
    await fc.assert(
      fc.asyncProperty(
        fc.nat(file.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, by, cut) => {
          const changed = Buffer.from(file)
          changed.writeUInt8(changed.readUInt8(at) ^ by, at)
          const error: unknown = await ageOpen(cut ? file.subarray(0, at) : changed, [identity]).catch(
            (e: unknown) => e,
          )
          expect(hasCode(error, 'bad_age_file', 'wrong_recipient', 'wrong_passphrase')).toBe(true)
          expect(String(error)).not.toContain('secret')
        },
      ),
      { numRuns: 200 },
    )
  })

  test('whatever its bytes are', async () => {
    const identity = await anyIdentity()
    const word = fc.constantFrom(
      '-> ',
      'scrypt ',
      'X25519 ',
      `${salt} `,
      '9',
      '\n',
      `${body}\n`,
      '--- ',
      ' ',
      'é',
      '=',
    )
    const lines = fc
      .array(word, { maxLength: 30 })
      .map((words) => Buffer.from(`age-encryption.org/v1\n${words.join('')}`))
    const anything = fc.oneof(lines, fc.uint8Array({ maxLength: 300 }))
    await fc.assert(
      fc.asyncProperty(anything, fc.boolean(), async (bytes, byPassphrase) => {
        const error: unknown = await ageOpen(bytes, byPassphrase ? { passphrase: 'p' } : [identity]).catch(
          (e: unknown) => e,
        )
        expect(hasCode(error, 'bad_age_file', 'wrong_recipient', 'wrong_passphrase')).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

describe('an identity', () => {
  test('of age-keygen is read, with its recipient', async () => {
    expect((await readAgeIdentity(`${KEYGEN}\n`)).recipient).toBe(
      'age1k4l4lwjup703xzlyypyuhzuygdd5kgj3vzha6lfw28h9l37jx4aseucvt3',
    )
  })

  test('that belongs to a secret is always the same, and another one for another use', async () => {
    const secret = Buffer.alloc(32, 7)
    const identity = await deriveAgeIdentity(secret, 'inbound')
    expect(identity.recipient).toBe('age18z4cyke8n8d7nnts6c3s3r82c32yd7xvfc9m7lah2j79ntj89cssgxumpv')
    expect(await ageOpen(await ageSeal(hello, [identity.recipient]), [identity])).toEqual(hello)
    expect((await deriveAgeIdentity(secret, 'other')).recipient).not.toBe(identity.recipient)
  })

  test.for([
    '',
    'secret',
    KEYGEN.slice(0, -1),
    `${KEYGEN.slice(0, -1)}Q`,
    KEYGEN.toLowerCase(),
    'age1k4l4lwjup70',
  ])('that is none is refused without being repeated: %s', async (text) => {
    const error: unknown = await readAgeIdentity(text).catch((e: unknown) => e)
    expect(error).toMatchObject({
      code: 'config',
      message: 'that is no age identity; age-keygen makes one, AGE-SECRET-KEY-1…',
    })
    expect(error).not.toHaveProperty('cause')
  })
})

describe('recipients', () => {
  test('are read from one line', async () => {
    const [one, two] = [(await anyIdentity()).recipient, (await anyIdentity()).recipient]
    expect(readAgeRecipients(` ${one},${two}\n`)).toEqual([one, two])
  })

  test.for(['', ' , ', 'age1', 'ssh-ed25519 AAAA', KEYGEN])('that are none are refused: %s', (text) => {
    const refusal = { code: 'config', message: expect.not.stringContaining('SECRET') }
    expect(() => readAgeRecipients(text)).toThrow(expect.objectContaining(refusal))
  })
})

const age = spawnSync('age', ['--version']).status === 0
const skip = !age && process.env['CI'] !== 'true'
if (skip) console.warn('Files are not exchanged with age itself: it is not installed (apt-get install age).')

describe.skipIf(skip)('age itself', () => {
  let folder: string | undefined
  afterEach(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true })
  })
  async function files(content: Uint8Array) {
    folder = await mkdtemp(join(tmpdir(), 'mooring-age-'))
    const [from, to, identity] = ['from', 'to', 'identity'].map((name) => join(folder ?? '', name)) as [
      string,
      string,
      string,
    ]
    await writeFile(from, content)
    await writeFile(identity, KEYGEN)
    return { from, to, identity }
  }
  const run = (command: string, args: string[], input = ''): void => {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', input, timeout: 60_000 })
    expect({ status, stderr, error }).toMatchObject({ status: 0 })
  }
  const large = Buffer.alloc(200_000, 'large')

  test('opens what we seal for a recipient', async () => {
    const { recipient } = await readAgeIdentity(KEYGEN)
    const { from, to, identity } = await files(await ageSeal(large, [recipient]))
    run('age', ['--decrypt', '--identity', identity, '--output', to, from])
    expect((await readFile(to)).equals(large)).toBe(true)
  })

  test('seals what we open', async () => {
    const { recipient, ...mine } = await readAgeIdentity(KEYGEN)
    const { from, to } = await files(large)
    run('age', ['--recipient', recipient, '--output', to, from])
    expect((await ageOpen(await readFile(to), [{ ...mine, recipient }])).equals(large)).toBe(true)
  })

  test('opens what we seal under a passphrase', async () => {
    const { from, to } = await files(await ageSeal(large, { passphrase: PASSPHRASE }))
    // It asks for a passphrase at a terminal only.
    run(
      'script',
      ['--quiet', '--return', '--command', `age --decrypt --output ${to} ${from}`, '/dev/null'],
      `${PASSPHRASE}\n`,
    )
    expect((await readFile(to)).equals(large)).toBe(true)
  })
})
