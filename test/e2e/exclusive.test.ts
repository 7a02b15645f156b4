import { expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import { connected, converse, inPhase, pairByQr, type Linked } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()

const device = (linked: Linked) => world.whatsapp.device(linked.jid)

test('E7: two processes share one data directory, and no session ever has two sockets', async () => {
  const installation = await world.install()
  const one = await installation.start()
  const two = await installation.start()
  // Which of the two should have a session is drawn anew with each life: that one has all twelve happens once in 2,000 runs.
  const fleet = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      pairByQr(index % 2 ? one.api : two.api, world.whatsapp, `s${index}`, world.newNumber()),
    ),
  )
  for (const linked of fleet) await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  for (const { session } of fleet) await connected(one.api, session)
  const owners = new Set<string>()
  for (const { session } of fleet) owners.add((await one.api.get(session)).status.owner?.runnerId ?? '')
  expect(owners.size).toBe(2)

  // The other one goes on with all of them, and gives none back to whom comes anew.
  await one.kill()
  for (const { session, jid } of fleet)
    await connected(two.api, session, ({ status }) => status.jid === jid && status.owner?.alive)
  const three = await installation.start()
  for (const linked of fleet) await converse(three.api, world.whatsapp, linked, world.newNumber(), 'hello')
  for (const linked of fleet) expect(await device(linked)).toMatchObject({ open: 1, openMax: 1, replaced: 0 })
})

test('E1: a copy of the data on another host is a conflict on the first; a person decides, and it never flips by itself', async () => {
  const original = await world.install()
  const first = await original.start()
  const linked = await pairByQr(first.api, world.whatsapp, 'shop', world.newNumber())
  await first.kill()
  const copy = world.adopt(await original.copy())

  const here = await original.start()
  await connected(here.api, 'shop')
  const there = await copy.start()
  const conflict = await inPhase(here.api, 'shop', 'conflict')
  expect(conflict.status).toMatchObject({ lastDisconnect: { code: 440, why: 'replaced' } })
  expect((await here.api.health('shop')).credentials).toMatchObject({ state: 'good', needsPairing: false })
  await connected(there.api, 'shop')
  expect(await device(linked)).toMatchObject({ open: 1, openMax: 2, replaced: 1 })

  await here.api.act('shop', 'resume')
  await inPhase(there.api, 'shop', 'conflict')
  await connected(here.api, 'shop')
  expect(await device(linked)).toMatchObject({ open: 1, replaced: 2 })
})

test('E1: a login of our own that arrives late is no conflict: the session connects once more, and asks nobody', async () => {
  const mooring = await (await world.install()).start()
  const { api } = mooring
  const linked = await pairByQr(api, world.whatsapp, 'shop', world.newNumber())
  // The restart's login is on its way for a while; the second restart gives its connection up and logs in at once.
  await world.whatsapp.fault({ kind: 'late_login', ms: 3_000, phone: linked.phone, times: 1 })
  await api.act('shop', 'restart')
  await inPhase(api, 'shop', 'connecting')
  await api.act('shop', 'restart')
  await connected(api, 'shop')
  await eventually(
    'the late login to arrive',
    () => device(linked),
    ({ replaced }) => replaced === 1,
  )
  await eventually(
    'the session to be back',
    () => device(linked),
    ({ open }) => open === 1,
  )
  const back = await connected(api, 'shop')
  expect(back.status).toMatchObject({ jid: linked.jid, lastDisconnect: { code: 440, why: 'own_late_login' } })
  expect((await api.events('shop')).filter(({ to }) => to === 'conflict')).toEqual([])
  expect(mooring.log('connection closed').map(({ why }) => why)).toContain('own_late_login')
  await converse(api, world.whatsapp, linked, world.newNumber(), 'hello')
  expect(await device(linked)).toMatchObject({ open: 1, openMax: 1, replaced: 1 })
})

test('E6: with reconciling off a process reads and answers, and touches nothing', async () => {
  const installation = await world.install()
  const first = await installation.start()
  const linked = await pairByQr(first.api, world.whatsapp, 'shop', world.newNumber())
  await first.kill()
  const { logins } = await device(linked)

  const watching = await installation.start({ MOORING_RECONCILE: 'off' })
  await watching.says('would act, but reconciling is off')
  const { want } = await watching.api.act('shop', 'restart')
  const seen = await watching.api.get('shop')
  expect(seen.status).toMatchObject({ phase: 'pending', jid: linked.jid })
  expect(seen.status.observedGeneration).toBeLessThan(want.generation)
  await watching.stop()
  expect(watching.log('step taken')).toEqual([])
  expect(await device(linked)).toMatchObject({ logins, open: 0 })

  const acting = await installation.start()
  await connected(acting.api, 'shop')
})

test('B5: a process that slept through its lease and lost its connection is back at work when it wakes', async () => {
  const times = {
    MOORING_RENEW_EVERY_MS: '200',
    MOORING_RENEW_WITHIN_MS: '600',
    MOORING_LEASE_FOR_MS: '1000',
  }
  const installation = await world.install(times)
  const sleeper = await installation.start()
  const linked = await pairByQr(sleeper.api, world.whatsapp, 'shop', world.newNumber())
  const onlooker = await installation.start({ MOORING_ROLE: 'control' })

  sleeper.child.signal('SIGSTOP')
  await inPhase(onlooker.api, 'shop', 'pending', ({ status }) => status.owner?.alive === false)
  await world.whatsapp.fault({ kind: 'cut', phone: linked.phone })
  await eventually(
    'the connection to be gone',
    () => device(linked),
    ({ open }) => open === 0,
  )
  const { logins } = await device(linked)
  sleeper.child.signal('SIGCONT')
  await eventually(
    'it to log in again',
    () => device(linked),
    (seen) => seen.logins === logins + 1,
  )
  await connected(onlooker.api, 'shop', ({ status }) => status.jid === linked.jid)
  await converse(onlooker.api, world.whatsapp, linked, world.newNumber(), 'awake')
  expect(await device(linked)).toMatchObject({ openMax: 1, replaced: 0 })
})
