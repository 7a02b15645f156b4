import { expect, test } from 'vitest'
import { inOrderOfArrival } from './arrival-order.ts'
import { saysBaileys, stockSocket } from './library.fixture.ts'

test('a message that the server did not mark is marked, and a mark of the server stays', () => {
  const [live, offline] = [
    { tag: 'message', attrs: {} as Record<string, string> },
    { tag: 'message', attrs: { offline: '7' } },
  ]
  for (const stanza of [live, offline]) inOrderOfArrival(stanza)
  expect([live.attrs, offline.attrs]).toEqual([{ offline: '0' }, { offline: '7' }])
})

test('rc14 works through what has that mark one after the other, whatever the mark says', () => {
  const marked =
    /const isOffline = !!node\.attrs\.offline;\s+if \(isOffline\) {\s+offlineNodeProcessor\.enqueue\(type, node\);/
  expect(saysBaileys('Socket/messages-recv.js', marked)).toBe(1)
  expect(saysBaileys('Utils/offline-node-processor.js', 'await nodeProcessor(node).catch(')).toBe(1)
})

test('rc14 tells of a frame before it looks at what it is', async () => {
  const first = /ws\.emit\('frame', frame\);[^]+ws\.emit\(`\${DEF_CALLBACK_PREFIX}/
  expect(saysBaileys('Socket/socket.js', first)).toBe(1)
  await using connection = stockSocket('ws://127.0.0.1:1/ws')
  expect(connection.sock.ws.listenerCount('CB:message')).toBe(1)
})
