import { beforeAll, expect, test } from 'vitest'
import { loseEverything } from './damage.ts'
import { mooringApi } from './api.ts'
import type { Installation } from './installation.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, inPhase, pairByQr, type Linked } from './people.ts'
import { seedSessions } from './seeding.ts'
import { useWorld } from './world.ts'

/** B6 speaks of 50. */
const SESSIONS = 50

const world = useWorld()
/** Each import is read by a process of its own, one after the other: some 0.7 s on a free machine. */
const SEEDED_WITHIN_MS = 180_000

let installation: Installation
let mooring: MooringProcess
const fleet: Linked[] = []

beforeAll(async () => {
  installation = await world.install()
  mooring = await installation.start()
  const names = Array.from({ length: SESSIONS }, (_, index) => `s${index}`)
  fleet.push(...(await seedSessions(mooring.api, world.whatsapp, names)))
}, SEEDED_WITHIN_MS)

/** SIGKILL, an empty disk, and a new start. */
async function startAgain(meanwhile: () => Promise<void> = async () => undefined): Promise<void> {
  await mooring.kill()
  await installation.wipeWorkDir()
  await meanwhile()
  mooring = await installation.start()
}

test(`A1 B1 B2 B6: ${SESSIONS} sessions are restored from an empty disk in one start, and the reports say so`, async () => {
  await startAgain()
  const line = await mooring.says('sessions restored')
  expect(line).toMatchObject({
    restored: SESSIONS,
    failed: 0,
    waiting: 0,
    total: SESSIONS,
    rate: 1,
    reasons: {},
  })
  expect(Number(line['durationMs'])).toBeLessThan(30_000)
  expect(mooring.log('sessions to restore')[0]).toMatchObject({ sessions: SESSIONS })
  expect(await mooring.api.report()).toMatchObject({
    total: SESSIONS,
    wanted: SESSIONS,
    restored: SESSIONS,
    failed: 0,
    waiting: 0,
    rate: 1,
    failures: [],
  })
  const { devices, totals } = await world.whatsapp.report()
  expect(totals).toMatchObject({ openConnections: SESSIONS, pairings: 0, replaced: 0, retries: 0 })
  expect(fleet.filter(({ jid }) => devices[jid]?.openMax !== 1)).toEqual([])
})

test('B2 B4 B6: a session that was unlinked and one that lost its data fail for a reason; all others are restored', async () => {
  const [unlinked, lost, ...healthy] = fleet
  if (!unlinked || !lost) throw new Error('there are fifty of them')
  await startAgain(async () => {
    await world.whatsapp.unlink(unlinked.phone, 1)
    await loseEverything(installation.dataDir, `acme~${lost.session}`)
  })
  const line = await mooring.says('sessions restored')
  expect(line).toMatchObject({ restored: healthy.length, failed: 2, waiting: 0, total: SESSIONS })
  expect(line['reasons']).toEqual({ logged_out: 1, credentials_missing: 1 })
  expect(Number(line['rate'])).toBeGreaterThan(0.95)
  const report = await mooring.api.report()
  expect(report).toMatchObject({
    restored: healthy.length,
    failed: 2,
    waiting: 0,
    rate: healthy.length / SESSIONS,
  })
  expect(report.failures.toSorted((a, b) => a.phase.localeCompare(b.phase))).toMatchObject([
    { id: lost.session, phase: 'failed', reason: 'credentials_missing' },
    { id: unlinked.session, phase: 'logged_out', reason: 'logged_out' },
  ])
})

test('B2: what stands at a block from before is in the report of the next start, and is waited for by nobody', async () => {
  const conflicting = fleet.at(-1)
  if (!conflicting) throw new Error('there are fifty of them')
  await world.whatsapp.fault({ kind: 'stream_error', conflict: 'replaced', phone: conflicting.phone })
  await inPhase(mooring.api, conflicting.session, 'conflict')
  await startAgain()
  const line = await mooring.says('sessions restored')
  expect(line).toMatchObject({ restored: SESSIONS - 3, failed: 2, waiting: 0, total: SESSIONS - 1 })
  expect(Object.keys(line['reasons'] as object)).toContain('credentials_missing')
})

test('B5: two tenants may call their sessions the same, and neither sees the other', async () => {
  const { url, key } = mooring.api
  const other = mooringApi({ url, key, tenant: 'globex' })
  await other.createTenant()
  const ours = fleet[10]
  if (!ours) throw new Error('there are fifty of them')
  const name = ours.session
  const theirs = await pairByQr(other, world.whatsapp, name, world.newNumber())
  expect((await other.list()).items.map(({ id }) => id)).toEqual([name])
  expect((await mooring.api.get(name)).status.jid).toBe(ours.jid)
  await converse(other, world.whatsapp, theirs, world.newNumber(), 'globex')
  await other.act(name, 'stop')
  await inPhase(other, name, 'stopped')
  expect(await world.whatsapp.device(ours.jid)).toMatchObject({ open: 1, openMax: 1 })
  await connected(mooring.api, name)
})
