import { once } from 'node:events'
import type { BinaryNode } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { hideStanza } from './hidden-stanza.ts'
import { saysBaileys, stockSocket } from './library.fixture.ts'

const receipt = (): BinaryNode => ({
  tag: 'receipt',
  attrs: { id: 'M1', from: '1@g.us', participant: '2@lid', type: 'retry', t: '1790000000' },
  content: [{ tag: 'retry', attrs: { count: '1' } }],
})

test('rc14 tells of a frame before it looks at its name, and finds its handler by the name it has then', () => {
  const order =
    /ws\.emit\('frame', frame\);[^]{0,700}const l0 = frame\.tag;[^]{0,900}ws\.emit\(`\${DEF_CALLBACK_PREFIX}\${l0}`, frame\)/
  expect(saysBaileys('Socket/socket.js', order)).toBe(1)
  expect(saysBaileys('Socket/messages-recv.js', "ws.on('CB:receipt', async (node) => {")).toBe(1)
})

test('rc14 as it is makes a session of the keys in a request before it knows whether there is such a message', () => {
  const order =
    /const bundle = extractE2ESessionFromRetryReceipt\(receiptNode\);[^]+for \(const \[i, msg\] of msgs\.entries\(\)\) {[^]{0,100}if \(msg &&/
  expect(saysBaileys('Socket/messages-recv.js', order)).toBe(1)
})

test('what is hidden has no handler, and is shown as it came', async () => {
  await using connection = stockSocket('ws://127.0.0.1:1/ws')
  const { ws } = connection.sock
  const stanza = receipt()
  const hidden = hideStanza(connection.sock, stanza)
  expect(ws.listenerCount(`CB:${stanza.tag}`)).toBe(0)
  ws.removeAllListeners('CB:receipt')
  const shown = once(ws, 'CB:receipt')
  hidden.show()
  expect(await shown).toEqual([receipt()])
})

test('what is hidden is acknowledged as rc14 would', async () => {
  await using connection = stockSocket('ws://127.0.0.1:1/ws')
  const sent: BinaryNode[] = []
  const sendNode = async (node: BinaryNode): Promise<void> => void sent.push(node)
  await hideStanza({ ws: connection.sock.ws, sendNode }, receipt()).acknowledge()
  const attrs = { id: 'M1', to: '1@g.us', class: 'receipt', participant: '2@lid', type: 'retry' }
  expect(sent).toEqual([{ tag: 'ack', attrs }])
})
