import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { saysBaileys } from './library.fixture.ts'
import { Unavailable } from './unavailable.ts'

function begin() {
  const clock = fakeClock()
  const sent: string[] = []
  const unavailable = new Unavailable({ sendPresenceUpdate: async (type) => void sent.push(type) }, clock)
  return { clock, sent, unavailable }
}

test('the changes of one moment are taken back once, and a later one again', async () => {
  const { clock, sent, unavailable } = begin()
  for (let change = 0; change < 5; change++) unavailable.credsChanged()
  expect(sent).toEqual([])
  await clock.advance(1_000)
  expect(sent).toEqual(['unavailable'])
  unavailable.credsChanged()
  await clock.advance(1_000)
  expect(sent).toEqual(['unavailable', 'unavailable'])
})

test('nothing is sent once it is closed, and no timer stays behind', async () => {
  const { clock, sent, unavailable } = begin()
  unavailable.credsChanged()
  unavailable.close()
  unavailable.credsChanged()
  await clock.advance(10_000)
  expect(sent).toEqual([])
  expect(clock.timers).toBe(0)
})

test('rc14 sends a bare presence, which means online, when credentials change without a name', () => {
  const handler =
    /ev\.on\('creds\.update', update => {\s+const name = update\.me\?\.name;[^]{0,100}if \(creds\.me\?\.name !== name\) {[^]{0,100}sendNode\({\s+tag: 'presence',\s+attrs: { name: name }/
  expect(saysBaileys('Socket/socket.js', handler)).toBe(1)
})
