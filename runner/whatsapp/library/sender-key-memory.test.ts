import { expect, test } from 'vitest'
import { memoryKeys } from '../signal.fixture.ts'
import { saysBaileys } from './library.fixture.ts'
import { forgetWhoHasKey } from './sender-key-memory.ts'

const [ONE, OTHER] = ['120363000000000001@g.us', '120363000000000002@g.us']
const HAVE = { '491701234567:1@s.whatsapp.net': true }

test('of one group it is forgotten who has the key, and of no other', async () => {
  const keys = memoryKeys()
  await keys.set({ 'sender-key-memory': { [ONE]: HAVE, [OTHER]: HAVE } })
  await forgetWhoHasKey(keys, '491701234567@s.whatsapp.net')
  await forgetWhoHasKey(keys, ONE)
  expect(await keys.get('sender-key-memory', [ONE, OTHER])).toEqual({ [OTHER]: HAVE })
})

test('rc14 keeps it there, and asks there who has the key before it sends to a group', () => {
  const file = 'Socket/messages-send.js'
  expect(saysBaileys(file, "authState.keys.get('sender-key-memory', [jid])")).toBe(1)
  expect(saysBaileys(file, "authState.keys.set({ 'sender-key-memory': { [jid]: senderKeyMap } })")).toBe(1)
})
