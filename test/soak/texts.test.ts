import { expect, test } from 'vitest'
import { pairByQr } from '../e2e/people.ts'
import { useWorld } from '../e2e/world.ts'
import { sendTexts } from './texts.ts'

/** A part of what `npm run bench texts` sends. */
const COUNT = 300
const PER_SECOND = 100

const world = useWorld()

test('case 20: of some hundred texts at 100 a second each is encrypted once, in the order of its chat, and its receipt is told', async () => {
  const { api } = await (await world.install()).start()
  const linked = await pairByQr(api, world.whatsapp, 'shop', world.newNumber())
  const people = Array.from({ length: 10 }, () => world.newNumber())
  const figures = await sendTexts({
    api,
    whatsapp: world.whatsapp,
    linked,
    people,
    count: COUNT,
    perSecond: PER_SECOND,
  })
  expect(figures).toMatchObject({
    encrypted: COUNT,
    twice: 0,
    outOfOrder: 0,
    lost: 0,
    states: { delivered: COUNT },
  })
  expect(await world.whatsapp.device(linked.jid)).toMatchObject({ duplicates: 0, retriesSent: 0, openMax: 1 })
})
