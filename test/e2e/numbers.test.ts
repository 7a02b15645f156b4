import { beforeAll, expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, pairByQr, type Linked } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()
let mooring: MooringProcess
let linked: Linked

beforeAll(async () => {
  mooring = await (await world.install()).start()
  linked = await pairByQr(mooring.api, world.whatsapp, 'shop', world.newNumber())
})

const sent = async (id: string) => mooring.api.sent('shop', id)

test('F10: a number with a digit that its account has not reaches it, and its receipts count, also after a restart', async () => {
  const account = '554791234567'
  await world.whatsapp.phone(account, 'Ana', '5547991234567')
  const { id } = await mooring.api.send('shop', '+55 47 99123-4567', 'to the account')
  await eventually('Ana to read it', async () =>
    (await world.whatsapp.messages(account)).some(({ text }) => text === 'to the account'),
  )
  await eventually(
    'its receipt to count',
    () => sent(id),
    ({ state }) => state === 'delivered',
  )
  await mooring.api.act('shop', 'restart')
  await connected(mooring.api, 'shop', ({ status }) => status.jid === linked.jid)
  const again = await mooring.api.send('shop', '+55 47 99123-4567', 'once more')
  await eventually(
    'its receipt to count',
    () => sent(again.id),
    ({ state }) => state === 'delivered',
  )
})

test('F10: a message to a number that nobody has fails, with the reason', async () => {
  const { id } = await mooring.api.send('shop', '+1 (555) 000-4242', 'to nobody')
  const failed = await eventually(
    'it to fail',
    () => sent(id),
    ({ state }) => state === 'failed',
  )
  expect(failed).toMatchObject({ error: { why: 'not_on_whatsapp' } })
})
