import { expect, test } from 'vitest'
import { damageJournal, damageSnapshots, loseEverything } from './damage.ts'
import type { Installation } from './installation.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, inPhase, jobDone, pairByQr, scanQr, type Linked } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()

interface Pair {
  installation: Installation
  mooring: MooringProcess
  broken: Linked
  sound: Linked
}

/** Two sessions with a backup each, killed; the disk of one is tampered with; then a start from an empty working directory. */
async function startAfter(tamper: (dataDir: string, name: string) => void | Promise<void>): Promise<Pair> {
  const installation = await world.install()
  const first = await installation.start()
  const [broken, sound] = await Promise.all([
    pairByQr(first.api, world.whatsapp, 'broken', world.newNumber()),
    pairByQr(first.api, world.whatsapp, 'sound', world.newNumber()),
  ])
  for (const { session } of [broken, sound]) {
    await jobDone(first.api, session, (await first.api.takeSnapshot(session, 'archive')).job)
    await jobDone(first.api, session, (await first.api.takeSnapshot(session)).job)
  }
  await converse(first.api, world.whatsapp, broken, world.newNumber(), 'between')
  await jobDone(first.api, 'broken', (await first.api.takeSnapshot('broken')).job)
  await converse(first.api, world.whatsapp, broken, world.newNumber(), 'before')
  await first.kill()
  await installation.wipeWorkDir()
  await tamper(installation.dataDir, 'acme~broken')
  const mooring = await installation.start()
  return { installation, mooring, broken, sound }
}

async function isWell(mooring: MooringProcess, linked: Linked): Promise<void> {
  await connected(mooring.api, linked.session, ({ status }) => status.jid === linked.jid)
  await converse(mooring.api, world.whatsapp, linked, world.newNumber(), 'well')
}

test('B4: with every stored byte of a session damaged, it fails with the reason, and nothing else does', async () => {
  const { mooring, broken, sound } = await startAfter(async (dataDir, name) => {
    expect(damageJournal(dataDir, name)).toBeGreaterThan(0)
    expect(await damageSnapshots(dataDir, name)).toBeGreaterThan(1)
  })
  const { api } = mooring
  const failed = await inPhase(api, 'broken', 'failed')
  expect(failed.status.reason).toBe('credentials_damaged')
  expect((await api.events('broken')).map(({ kind }) => kind)).toContain('fallback')
  expect((await api.snapshots('broken')).every(({ quarantined }) => quarantined !== null)).toBe(true)
  expect((await world.whatsapp.device(broken.jid)).open).toBe(0)
  await isWell(mooring, sound)
  // A person links it again.
  const again = await scanQr(api, world.whatsapp, 'broken', broken.phone)
  await converse(api, world.whatsapp, again, world.newNumber(), 'again')
})

test('B4: with every stored byte of a session gone, it fails with the reason, and nothing else does', async () => {
  const { mooring, broken, sound } = await startAfter(loseEverything)
  const failed = await inPhase(mooring.api, 'broken', 'failed')
  expect(failed.status.reason).toBe('credentials_missing')
  await isWell(mooring, sound)
  const again = await scanQr(mooring.api, world.whatsapp, 'broken', broken.phone)
  await converse(mooring.api, world.whatsapp, again, world.newNumber(), 'again')
})

test('B4: with its newest backup damaged, a session is rebuilt from the one before and the journal, and says so', async () => {
  const { mooring, broken, sound } = await startAfter(async (dataDir, name) => {
    await damageSnapshots(dataDir, name, 1)
  })
  await isWell(mooring, broken)
  await isWell(mooring, sound)
  const events = await mooring.api.events('broken')
  expect(events.find(({ kind }) => kind === 'fallback')?.why).toContain("can't be used")
  expect(
    (await mooring.api.snapshots('broken')).filter(({ quarantined }) => quarantined !== null),
  ).toHaveLength(1)
  expect((await world.whatsapp.phoneReport(broken.phone)).linkedMax).toBe(1)
})

test('B4: with its newest entries damaged, a session goes on from where they began, and both sides converse again', async () => {
  const { mooring, broken, sound } = await startAfter((dataDir, name) => {
    damageJournal(dataDir, name)
  })
  await isWell(mooring, sound)
  await isWell(mooring, broken)
  expect((await world.whatsapp.phoneReport(broken.phone)).linkedMax).toBe(1)
})
