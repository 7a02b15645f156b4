import { beforeAll, expect, test } from 'vitest'
import { silent } from '../../runner.fixture.ts'
import { decryptWithoutSideEffects } from './decrypt-without-side-effects.ts'
import { silenceConsole } from './silent-console.ts'
import { A, account, decrypt, encrypt, meet, PEER, type Account } from '../signal.fixture.ts'
import { withoutUnused } from './unused-sessions.ts'

beforeAll(() => {
  // libsignal prints the sessions that it closes, keys included.
  silenceConsole(silent)
  decryptWithoutSideEffects()
})

/** libsignal keeps forty. */
const MANY = 45

const says = async (from: Account, to: Account, text: string): Promise<string> =>
  decrypt(to, from, await encrypt(from, to, text))

async function sessionsOf(us: Account, peer: Account): Promise<number> {
  const address = us.repository.jidToSignalProtocolAddress(peer.jid)
  const { [address]: record } = await us.auth.keys.get('session', [address])
  const { _sessions: sessions } = record as unknown as { _sessions: object }
  return Object.keys(sessions).length
}

test('however often a bundle is fetched without writing, what the other side writes on its session is read', async () => {
  const [us, peer] = [account(A), account(PEER)]
  await meet(us, peer)
  await says(us, peer, 'hello')
  await says(peer, us, 'hello too')
  for (let at = 0; at < MANY; at++) await meet(us, peer)
  expect(await sessionsOf(us, peer)).toBe(2)
  expect(await says(peer, us, 'still there?')).toBe('still there?')
  expect(await says(us, peer, 'yes')).toBe('yes')
  expect(await says(peer, us, 'good')).toBe('good')
})

test('a session on which we wrote is kept, since the answer to it may be on its way', async () => {
  const [us, peer] = [account(A), account(PEER)]
  await meet(us, peer)
  const first = await encrypt(us, peer, 'first')
  await meet(us, peer)
  expect(await sessionsOf(us, peer)).toBe(2)
  expect(await decrypt(peer, us, first)).toBe('first')
  expect(await says(peer, us, 'answer to the first')).toBe('answer to the first')
})

test('with the stock repository the session of the other side is forgotten as soon as one more message came on it', async () => {
  const [us, peer] = [account(A, { kind: 'stock' }), account(PEER)]
  await meet(us, peer)
  await says(us, peer, 'hello')
  await says(peer, us, 'hello too')
  for (let at = 0; at < MANY; at++) await meet(us, peer)
  expect(await says(peer, us, 'still there?')).toBe('still there?')
  await expect(says(peer, us, 'and now?')).rejects.toThrow()
})

test('what is no session record stays what it is', () => {
  for (const value of [undefined, null, {}, { _sessions: {} }, 7]) expect(withoutUnused(value)).toBe(value)
})
