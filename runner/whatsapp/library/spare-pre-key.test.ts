import { addTransactionCapability, getNextPreKeys } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { openWorld } from '../../state/testing.ts'
import { connectionAuth } from '../auth-state.ts'
import { baileysLog } from './baileys-log.ts'
import { TRANSACTION } from '../signal-repository.ts'
import { saysBaileys } from './library.fixture.ts'
import { keepPreKeyReady } from './spare-pre-key.ts'

/** What rc14 does for a retry receipt, under its own mutex. */
async function offer(auth: ReturnType<typeof connectionAuth>) {
  const { update, preKeys } = await getNextPreKeys(auth, 1)
  Object.assign(auth.creds, update)
  return preKeys
}

test('a key lies ready and durable, is the one that is offered next, and is replaced by another', async () => {
  await using world = await openWorld()
  const state = await world.open(1)
  const auth = connectionAuth(state)
  const keys = addTransactionCapability(auth.keys, baileysLog(undefined), TRANSACTION)
  const sock = { authState: { creds: auth.creds, keys } }
  for (const id of [1, 2]) {
    await Promise.all([1, 2, 3].map(() => keepPreKeyReady(sock, auth, state.journal)))
    expect(auth.creds).toMatchObject({ nextPreKeyId: id + 1, firstUnuploadedPreKeyId: id })
    const ready = await auth.keys.get('pre-key', [String(id)])
    expect(Object.keys(ready)).toEqual([String(id)])
    expect(await offer(auth)).toEqual(ready)
    expect(auth.creds).toMatchObject({ nextPreKeyId: id + 1, firstUnuploadedPreKeyId: id + 1 })
  }
})

test('rc14 makes the key of a retry receipt just before it sends that, under the mutex of the own account', () => {
  const made =
    /getNextPreKeys\(authState, 1\)[^]{0,1500}await sendNode\(receipt\)[^]{0,200}}, authState\?\.creds\?\.me\?\.id \|\|/
  expect(saysBaileys('Socket/messages-recv.js', made)).toBe(1)
})

test('where the key can’t be stored the counter stays', async () => {
  await using world = await openWorld()
  const state = await world.open(1)
  const auth = connectionAuth(state)
  const keys = addTransactionCapability(auth.keys, baileysLog(undefined), TRANSACTION)
  auth.close()
  const kept = keepPreKeyReady({ authState: { creds: auth.creds, keys } }, auth, state.journal)
  await expect(kept).rejects.toMatchObject({ code: 'closed' })
  expect(auth.creds.nextPreKeyId).toBe(1)
})
