import { expect, test } from 'vitest'
import { saysBaileys } from './library.fixture.ts'
import { MESSAGE_GIVEN_UP, QR_ENDED } from './sentences.ts'

test('a message that rc14 gives up is logged as an error in these words, from one place', () => {
  const statement = `logger.error({ error, node: binaryNodeToString(node) }, '${MESSAGE_GIVEN_UP}')`
  expect(saysBaileys('Socket/messages-recv.js', statement)).toBe(1)
  expect(saysBaileys('Socket/messages-recv.js', MESSAGE_GIVEN_UP)).toBe(1)
})

test('a QR that nobody scanned closes the connection in these words', () => {
  const statement = `new Boom('${QR_ENDED}', { statusCode: DisconnectReason.timedOut })`
  expect(saysBaileys('Socket/socket.js', statement)).toBe(1)
})
