import { EventEmitter } from 'node:events'
import type { BinaryNode, WASocket } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { People } from './people.ts'
import { RetryGate } from './retry-gate.ts'
import { slowly } from './signal.fixture.ts'

const BOB = '491700000002@s.whatsapp.net'
const EVE = '491700000009@s.whatsapp.net'
const OURS = '491700000001:7@s.whatsapp.net'
const GROUP = '120363000000000001@g.us'

/** A gate before a library that notes what it is shown; `M1` went to Bob, `M2` to the group. */
function begin() {
  const clock = fakeClock()
  const shown: string[] = []
  const acknowledged: string[] = []
  const dropped: string[] = []
  const asked: string[] = []
  const ws = new EventEmitter()
  ws.on('CB:receipt', ({ attrs }: BinaryNode) => shown.push(attrs['id'] ?? ''))
  const sendNode = async ({ attrs }: BinaryNode): Promise<void> => void acknowledged.push(attrs['id'] ?? '')
  const gate = new RetryGate({
    line: { ws, sendNode } as unknown as Pick<WASocket, 'ws' | 'sendNode'>,
    people: new People({ creds: { me: { id: OURS } }, records: { get: () => undefined } }),
    clock,
    dropped: (what) => void dropped.push(what),
    isSentTo: async (id, isFor) => {
      asked.push(id)
      const to = { M1: BOB, M2: GROUP }[id]
      return to !== undefined && isFor(to)
    },
    isClosed: () => false,
  })
  /** A receipt comes as a frame does. */
  const come = async (attrs: Record<string, string>, content: BinaryNode[] = []): Promise<void> => {
    const node: BinaryNode = { tag: 'receipt', attrs: { type: 'retry', ...attrs }, content }
    gate.came(node)
    ws.emit(`CB:${node.tag}`, node)
    await slowly()
  }
  return { clock, come, shown, acknowledged, dropped, asked }
}

test.for<[string, Record<string, string>]>([
  ['its person', { id: 'M1', from: BOB.replace('@', ':3@') }],
  ['a member of its group', { id: 'M2', from: GROUP, participant: EVE }],
  ['a device of ours', { id: 'anything', from: OURS.replace(':7', ''), recipient: BOB }],
])('F5: %s may ask for a message again', async ([, attrs]) => {
  const { come, shown, dropped } = begin()
  await come(attrs)
  expect({ shown, dropped }).toEqual({ shown: [attrs['id']], dropped: [] })
})

test.for<[string, Record<string, string>]>([
  ['a stranger', { id: 'M1', from: EVE }],
  ['a stranger who names its person', { id: 'M1', from: EVE, participant: BOB }],
  ['a stranger who names a device of ours', { id: 'M1', from: EVE, participant: OURS }],
  ['somebody through a group it did not go to', { id: 'M1', from: GROUP, participant: BOB }],
  ['its person for what never was', { id: 'M3', from: BOB }],
])('F5: what %s asks for never reaches the library; it is acknowledged and counted', async ([, attrs]) => {
  const { come, shown, acknowledged, dropped } = begin()
  await come(attrs)
  expect({ shown, acknowledged, dropped }).toEqual({
    shown: [],
    acknowledged: [attrs['id']],
    dropped: ['retry'],
  })
})

test('F5: nobody asks for more messages by a list', async () => {
  const { come, shown, dropped } = begin()
  const list = { tag: 'list', attrs: {}, content: [{ tag: 'item', attrs: { id: 'M2' } }] }
  await come({ id: 'M1', from: BOB }, [list])
  expect({ shown, dropped }).toEqual({ shown: [], dropped: ['retry'] })
})

test('F3: beyond a rate a request costs no look-up, whoever sends it', async () => {
  const { come, clock, asked, dropped, shown } = begin()
  for (let time = 0; time < 150; time++) await come({ id: 'M3', from: EVE })
  expect(asked).toHaveLength(100)
  expect(dropped.filter((what) => what === 'rate')).toHaveLength(50)
  await come({ id: 'M1', from: BOB })
  expect(shown).toEqual(['M1'])
  await clock.advance(1_000)
  await come({ id: 'M3', from: EVE })
  expect(asked).toHaveLength(102)
})

test('other receipts pass', async () => {
  const { come, shown } = begin()
  await come({ id: 'M1', from: EVE, type: 'read' })
  expect(shown).toEqual(['M1'])
})
