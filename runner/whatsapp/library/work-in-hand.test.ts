import { expect, test } from 'vitest'
import { slowly } from '../signal.fixture.ts'
import { saysBaileys, stockSocket } from './library.fixture.ts'
import { betweenMessages, throughAllWork } from './work-in-hand.ts'

const ME = '491701234567:1@s.whatsapp.net'

test.for(['messages', 'receipts', 'notifications', 'the account'] as const)(
  'what is stuck with %s keeps the way through all work from its end',
  async (where) => {
    await using connection = stockSocket('ws://127.0.0.1:1/ws')
    const { sock } = connection
    const { promise: stuck, resolve: goOn } = Promise.withResolvers<void>()
    const held = {
      messages: () => sock.messageMutex.mutex(() => stuck),
      receipts: () => sock.receiptMutex.mutex(() => stuck),
      notifications: () => sock.notificationMutex.mutex(() => stuck),
      'the account': () => sock.authState.keys.transaction(() => stuck, ME),
    }[where]()
    let through = false
    const way = throughAllWork(sock, ME).then(() => (through = true))
    await slowly()
    expect(through).toBe(false)
    goOn()
    await Promise.all([held, way])
  },
)

test('what is to happen between messages waits for the one in work', async () => {
  await using connection = stockSocket('ws://127.0.0.1:1/ws')
  const { promise: decrypting, resolve: done } = Promise.withResolvers<void>()
  const order: string[] = []
  const inWork = connection.sock.messageMutex.mutex(async () => {
    await decrypting
    order.push('message')
  })
  const between = betweenMessages(connection.sock, async () => void order.push('between'))
  done()
  await Promise.all([inWork, between])
  expect(order).toEqual(['message', 'between'])
})

test('rc14 handles each kind of stanza under the mutex of its kind, a message from its decryption on', () => {
  const file = 'Socket/messages-recv.js'
  expect(saysBaileys(file, /messageMutex\.mutex\(async \(\) => {\s+await decrypt\(\);/)).toBe(1)
  for (const kind of ['receiptMutex', 'notificationMutex'])
    expect(saysBaileys(file, `${kind}.mutex(async () => {`)).toBe(1)
})
