import { expect, test } from 'vitest'
import type { Api, Snapshot } from './api.ts'
import { asked, circle, everybodyWrites, inFeed, readByAll, type Circle } from './circle.ts'
import { connected, jobDone } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()

const MANY = 52

/** More than fifty texts each way with each person, and in the group. */
async function muchTraffic(around: Circle): Promise<void> {
  const { api, linked, people, group } = around
  const numbers = Array.from({ length: MANY }, (_, at) => at)
  for (const [at, person] of people.entries()) {
    await world.whatsapp.burst(person, { to: linked.phone, count: MANY, prefix: `much ${at} `, device: at })
  }
  for (const at of numbers) {
    const [one, two] = people
    await api.send('shop', at % 2 ? one : two, `much to you ${at}`)
    await api.send('shop', group, `much to all ${at}`)
    await world.whatsapp.sendGroup(at % 2 ? two : one, { group, text: `much in the group ${at}` })
  }
  await inFeed(around, [
    ...numbers.flatMap((at) => [`much 0 ${at}`, `much 1 ${at}`, `much in the group ${at}`]),
  ])
  await readByAll(
    world.whatsapp,
    people,
    numbers.map((at) => `much to all ${at}`),
  )
}

const label = async (api: Api, name: string): Promise<string> =>
  String((await jobDone(api, 'shop', (await api.takeSnapshot('shop', name)).job))['snapshot'])

test('C4 D2: after a backup from before much traffic is restored, both sides converse again within one retry per device', async () => {
  const around = await circle(world)
  const { api, linked } = around
  await everybodyWrites(around, 'before')
  const backup = await label(api, 'old')
  await muchTraffic(around)
  expect((await world.whatsapp.report()).retries).toEqual([])

  const { logins } = await world.whatsapp.device(linked.jid)
  await expect(api.restore('shop', { snapshot: backup })).rejects.toMatchObject({
    status: 409,
    code: 'newer_state',
  })
  expect(await world.whatsapp.device(linked.jid)).toMatchObject({ logins, open: 1 })
  const { job } = await api.restore('shop', { snapshot: backup, force: true })
  expect(await jobDone(api, 'shop', job)).toMatchObject({ restored: backup })
  await connected(api, 'shop', ({ status }) => status.jid === linked.jid)

  await everybodyWrites(around, 'after')
  const retries = asked((await world.whatsapp.report()).retries)
  expect([...retries].filter(([, count]) => count > 1)).toEqual([])
  // Nobody had to ask for what we wrote: no ratchet of ours was rewound.
  expect([...retries.keys()].filter((pair) => pair.endsWith(`of ${linked.jid}`))).toEqual([])
  await world.whatsapp.resetReport()
  await everybodyWrites(around, 'later')
  expect((await world.whatsapp.report()).retries).toEqual([])
  expect((await world.whatsapp.phoneReport(linked.phone)).linkedMax).toBe(1)
  expect(await world.whatsapp.device(linked.jid)).toMatchObject({ openMax: 1, replaced: 0, leftOut: 0 })
})

test('D2 C4: the newest backup, one by its time and one by its id are restored over HTTP, each with force only', async () => {
  const around = await circle(world)
  const { api } = around
  await everybodyWrites(around, 'before')
  const first = await label(api, 'first')
  const listed = (await api.snapshots('shop')) as (Snapshot & { at: string })[]
  const at = listed.find(({ id }) => id === first)?.at ?? ''
  await everybodyWrites(around, 'between')
  const second = await label(api, 'second')

  const asks = [
    { ask: { latest: true }, restores: second },
    { ask: { at }, restores: first },
    { ask: { snapshot: second }, restores: second },
  ] as const
  for (const { ask, restores } of asks) {
    await expect(api.restore('shop', ask)).rejects.toMatchObject({ status: 409, code: 'newer_state' })
    const { job } = await api.restore('shop', { ...ask, force: true })
    expect(await jobDone(api, 'shop', job)).toMatchObject({ restored: restores })
    await connected(api, 'shop')
    await everybodyWrites(around, `with ${JSON.stringify(ask)}`)
  }
  const labels = (await api.snapshots('shop')).map((snapshot) => snapshot.label)
  expect(labels.filter((name) => name === 'before_restore')).toHaveLength(asks.length)
  expect((await api.events('shop')).filter(({ kind }) => kind === 'restore')).toHaveLength(asks.length)
})
