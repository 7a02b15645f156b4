import { SessionCipher } from 'libsignal'
import { beforeAll, expect, test } from 'vitest'
import { silent } from '../../runner.fixture.ts'
import { decryptWithoutSideEffects } from './decrypt-without-side-effects.ts'
import { saysLibsignal } from './library.fixture.ts'
import { silenceConsole } from './silent-console.ts'
import { A, account, decrypt, encrypt, meet, PEER, slowly, type Account } from '../signal.fixture.ts'

// libsignal prints the sessions that it tries, keys included.
beforeAll(() => silenceConsole(silent))

const says = async (from: Account, to: Account, text: string): Promise<string> =>
  decrypt(to, from, await encrypt(from, to, text))

/** libsignal tries the session first that was used last, by the millisecond. */
async function later(): Promise<void> {
  const now = Date.now()
  while (Date.now() === now) await slowly()
}

/** The peer answers on the session before the one that we began last, with a key that we have not seen. */
async function answersOnTheOlderSession(): Promise<{ us: Account; peer: Account }> {
  const [us, peer] = [account(A), account(PEER)]
  await meet(us, peer)
  await says(us, peer, 'hello')
  await says(peer, us, 'hello too')
  await says(us, peer, 'what news?')
  await later()
  // What rc14 does at the first message after every start.
  await meet(us, peer)
  expect(await says(peer, us, 'none')).toBe('none')
  return { us, peer }
}

test('libsignal as it is spoils a session on which it tried a message of another', async () => {
  const { us, peer } = await answersOnTheOlderSession()
  await expect(says(us, peer, 'lost')).rejects.toThrow()
})

test('libsignal tries each session by the method that is replaced here, with a message and a session', () => {
  const { doDecryptWhisperMessage: method } = SessionCipher.prototype as unknown as Record<string, () => void>
  expect(method).toHaveLength(2)
  expect(saysLibsignal('session_cipher.js', 'await this.doDecryptWhisperMessage(data, session)')).toBe(1)
})

test('a failed try leaves a session as it was, and both sides go on on it', async () => {
  decryptWithoutSideEffects()
  const { us, peer } = await answersOnTheOlderSession()
  for (const text of ['read', 'and read again']) expect(await says(us, peer, text)).toBe(text)
  for (const text of ['one', 'two']) expect(await says(peer, us, text)).toBe(text)
  expect(await says(us, peer, 'three')).toBe('three')
})

test('what no session can read changes none, and asking twice for the change is harmless', async () => {
  decryptWithoutSideEffects()
  decryptWithoutSideEffects()
  const { us, peer } = await answersOnTheOlderSession()
  const { type, ciphertext } = await encrypt(peer, us, 'torn on the way')
  const torn = Uint8Array.from(ciphertext, (byte, at) => (at === ciphertext.length - 1 ? byte ^ 1 : byte))
  await expect(decrypt(us, peer, { type, ciphertext: Buffer.from(torn) })).rejects.toThrow()
  expect(await decrypt(us, peer, { type, ciphertext })).toBe('torn on the way')
  expect(await says(us, peer, 'read')).toBe('read')
})
