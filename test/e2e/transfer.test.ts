import { beforeAll, expect, test } from 'vitest'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, inPhase, jobDone, pairByQr } from './people.ts'
import { folderOf, importSeeded } from './seeding.ts'
import { useWorld } from './world.ts'

const PASSPHRASE = 'correct horse battery staple'

const world = useWorld()
let mooring: MooringProcess

beforeAll(async () => {
  mooring = await (await world.install()).start()
})

test('C4: a session that another program paired is imported from its Baileys folder, connects without a QR and converses', async () => {
  const [seeded] = await world.whatsapp.seed({ count: 1 })
  if (!seeded) throw new Error('nothing was seeded')
  const linked = await importSeeded(mooring.api, 'moved', seeded)
  await converse(mooring.api, world.whatsapp, linked, world.newNumber(), 'moved')
  expect((await mooring.api.events('moved')).map(({ to }) => to)).not.toContain('pairing')
  expect((await world.whatsapp.phoneReport(linked.phone)).linkedMax).toBe(1)
})

test('C1 C4: a folder without credentials, or with those of a number that was never linked, is refused with the reason', async () => {
  const { api } = mooring
  const [seeded] = await world.whatsapp.seed({ count: 1 })
  if (!seeded) throw new Error('nothing was seeded')
  await api.create('half')
  const { 'creds.json': creds = '', ...others } = folderOf(seeded)
  const without = await api.importFolder('half', others)
  await expect(jobDone(api, 'half', without.job)).rejects.toThrow('bad_import')

  const { account: _, ...unlinked } = JSON.parse(Buffer.from(creds, 'base64').toString()) as {
    account: unknown
  }
  const files = { ...others, 'creds.json': Buffer.from(JSON.stringify(unlinked)).toString('base64') }
  const { job } = await api.importFolder('half', files)
  await expect(jobDone(api, 'half', job)).rejects.toThrow('bad_import')
  await inPhase(api, 'half', 'unpaired')
})

test('C4: a session goes from one installation to another as a bundle under a passphrase, and only with it', async () => {
  const { api } = mooring
  const linked = await pairByQr(api, world.whatsapp, 'travels', world.newNumber())
  const peer = world.newNumber()
  await converse(api, world.whatsapp, linked, peer, 'before')
  await api.act('travels', 'stop')
  await inPhase(api, 'travels', 'stopped')
  const bundle = await api.exportBundle('travels', PASSPHRASE)

  const there = await (await world.install()).start()
  await there.api.create('arrived')
  const wrong = await there.api.importBundle('arrived', bundle, 'another passphrase')
  await expect(jobDone(there.api, 'arrived', wrong.job)).rejects.toThrow('wrong_passphrase')
  const right = await there.api.importBundle('arrived', bundle, PASSPHRASE)
  await jobDone(there.api, 'arrived', right.job)
  await connected(there.api, 'arrived', ({ status }) => status.jid === linked.jid)
  await converse(there.api, world.whatsapp, { ...linked, session: 'arrived' }, peer, 'after')
  expect(await world.whatsapp.device(linked.jid)).toMatchObject({ openMax: 1, replaced: 0 })
})
