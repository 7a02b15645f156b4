import { expect, test } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { eventually } from './eventually.ts'
import { everythingStored } from './everything-stored.ts'
import type { LogLine, MooringProcess } from './mooring-process.ts'
import {
  connected,
  converse,
  inPhase,
  jobDone,
  pairByQr,
  removed,
  scanQr,
  textsIn,
  workedOff,
} from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()
const linkedDevices = async (phone: string) =>
  (await world.whatsapp.phoneReport(phone)).linkedDevices.map(({ jid }) => jid)

/** The lines that name a life. */
const linesOf = (mooring: MooringProcess, life: string | null, message?: string): LogLine[] =>
  mooring.log(message).filter(({ sessionId }) => life !== null && sessionId?.endsWith(`~${life}`))

test('F1: a name that was purged begins anew on the other runner at once, whoever purged it is gone', async () => {
  const installation = await world.install()
  const processes = [await installation.start(), await installation.start()]
  const [{ api }] = processes as [MooringProcess]
  const phone = world.newNumber()
  const first = await pairByQr(api, world.whatsapp, 'shop', phone)
  const before = await api.get('shop')
  const { id } = (await api.remove('shop', true)) ?? { id: '' }
  await workedOff(api, id)
  const purged = (mooring: MooringProcess) => linesOf(mooring, before.life, 'session removed').length > 0
  // Its record is gone a moment before its log says so.
  await eventually('one of the two to say that it purged it', () => processes.some(purged))
  const victim = processes.find(purged)
  const other = processes.find((mooring) => mooring !== victim)
  if (!victim || !other) throw new Error('one of the two purged it')
  await other.api.create('shop')
  await victim.kill()

  const second = await scanQr(other.api, world.whatsapp, 'shop', phone)
  const { life } = await other.api.get('shop')
  expect(life).not.toBe(before.life)
  expect(await linkedDevices(phone)).toEqual([second.jid])
  expect(second.jid).not.toBe(first.jid)
  // Nothing of the first life stood in the way: the runner that was left claimed it once, under the first epoch or the next.
  const claims = [...linesOf(other, life, 'session claimed'), ...linesOf(other, life, 'session taken over')]
  expect(claims.length).toBeLessThanOrEqual(2)
  expect(Number(claims.at(-1)?.['epoch'])).toBeLessThanOrEqual(3)
  const steps = linesOf(other, life, 'step taken')
  expect(steps.length).toBeLessThan(40)
  await converse(other.api, world.whatsapp, second, world.newNumber(), 'second life')
})

test('F1: a delete a second after a pairing window was opened is one removal, without a churn of epochs', async () => {
  const mooring = await (await world.install()).start()
  const { api } = mooring
  await api.create('shop')
  await api.openPairing('shop')
  await eventually('a QR', () => api.qr('shop'))
  const { life } = await api.get('shop')
  await systemClock.sleep(1_000)
  const removal = await removed(api, 'shop')
  expect(removal).toMatchObject({ phase: 'kept', backup: null, reason: null })
  expect(await api.removals()).toHaveLength(1)
  // As long as hundreds of rounds of claiming, rehydrating and releasing take.
  await pairByQr(api, world.whatsapp, 'other', world.newNumber())
  expect(linesOf(mooring, life, 'session claimed').length).toBeLessThanOrEqual(1)
  expect(linesOf(mooring, life).length).toBeLessThan(30)
})

test('F1: a delete at any moment around the scan leaves no device on the phone', async () => {
  const mooring = await (await world.install()).start()
  const { api } = mooring
  for (const delayMs of [0, 2, 5, 10, 20, 40, 80]) {
    const session = `at-${delayMs}`
    const phone = world.newNumber()
    await world.whatsapp.phone(phone)
    await api.create(session)
    await api.openPairing(session)
    const { qr } = await eventually('a QR', () => api.qr(session))
    const scanned = world.whatsapp.scan(phone, qr)
    if (delayMs > 0) await systemClock.sleep(delayMs)
    else await scanned
    const removal = await api.remove(session)
    await scanned.catch(() => undefined)
    expect(await workedOff(api, removal?.id ?? '')).toMatchObject({ phase: 'kept', reason: null })
    expect(await linkedDevices(phone), `deleted ${delayMs} ms after the scan began`).toEqual([])
  }
  // Some of them between the scan and the login that follows it, when no connection is open.
  expect(mooring.log('the device of a deleted session is unlinked').length).toBeGreaterThan(0)
})

test('F2: what a deleted session left is listed once, and comes back under another name', async () => {
  const mooring = await (await world.install()).start()
  const { api } = mooring
  const linked = await pairByQr(api, world.whatsapp, 'shop', world.newNumber())
  await converse(api, world.whatsapp, linked, world.newNumber(), 'before')
  await api.act('shop', 'stop')
  await inPhase(api, 'shop', 'stopped', ({ status }) => status.owner === null)
  // WhatsApp does not let the device in, so it can't take itself off the phone: its credentials stay good.
  await world.whatsapp.fault({ kind: 'failure', reason: 403, phone: linked.phone })
  const removal = await removed(api, 'shop')
  await world.whatsapp.clearFaults()
  expect(removal).toMatchObject({ phase: 'still_linked', reason: expect.stringContaining('Linked devices') })
  expect(await linkedDevices(linked.phone)).toEqual([linked.jid])
  const [backup, ...more] = await api.backups()
  expect(more).toEqual([])
  expect(backup).toMatchObject({ id: removal.backup, session: 'shop', jid: linked.jid })

  const { job } = await api.restoreBackup(backup?.id ?? '', 'again')
  await jobDone(api, 'again', job)
  await connected(api, 'again', ({ status }) => status.jid === linked.jid)
  await converse(api, world.whatsapp, { ...linked, session: 'again' }, world.newNumber(), 'after')
  expect(await textsIn(api, 'again')).toEqual(['after: to the session'])
  // The name is free, and its next life has nothing of the first.
  const anew = await pairByQr(api, world.whatsapp, 'shop', world.newNumber())
  expect(anew.jid).not.toBe(linked.jid)
  expect(await textsIn(api, 'shop')).toEqual([])
  expect((await api.events('shop')).length).toBeGreaterThan(0)
  await connected(api, 'again')
})

test('F2: the backup of a device that was unlinked comes back too, and WhatsApp’s refusal is told', async () => {
  const mooring = await (await world.install()).start()
  const { api } = mooring
  const linked = await pairByQr(api, world.whatsapp, 'shop', world.newNumber())
  const removal = await removed(api, 'shop')
  expect(removal).toMatchObject({ phase: 'kept', reason: null })
  expect(await linkedDevices(linked.phone)).toEqual([])
  const { job } = await api.restoreBackup(removal.backup ?? '', 'again')
  await jobDone(api, 'again', job)
  await inPhase(api, 'again', 'logged_out', ({ status }) => status.lastDisconnect?.code === 401)
})

test('F2: after a purge every record, blob and file is without the name and the life, but for one audit line', async () => {
  const installation = await world.install()
  const mooring = await installation.start()
  const { api } = mooring
  const phone = world.newNumber()
  // Two lives before it: one of them is kept.
  await pairByQr(api, world.whatsapp, 'xylophone', phone)
  const kept = await removed(api, 'xylophone')
  const linked = await pairByQr(api, world.whatsapp, 'xylophone', phone)
  const other = await pairByQr(api, world.whatsapp, 'other', world.newNumber())
  await converse(api, world.whatsapp, linked, world.newNumber(), 'hello')
  await jobDone(api, 'xylophone', (await api.takeSnapshot('xylophone', 'monday')).job)
  await api.exportBundle('xylophone', 'correct horse battery staple')
  const refused = await api.importFolder('xylophone', { 'creds.json': 'e30=' }, { force: 'true' })
  await eventually(
    'the import to fail',
    async () => (await api.job('xylophone', refused.job)).state === 'failed',
  )
  const { life } = await api.get('xylophone')
  const names = ['xylophone', life ?? 'no life', kept.life ?? 'no life']
  const told = async () =>
    (await everythingStored(installation)).filter((text) => names.some((name) => text.includes(name)))
  expect((await told()).length).toBeGreaterThan(20)

  const removal = await removed(api, 'xylophone', true)
  expect(removal).toMatchObject({ phase: 'purged', purge: true, life })
  // The hints that watches go by name what they are about, for seconds.
  const left = await eventually('one line for each life', told, (texts) => texts.length === 2)
  expect(left.every((text) => text.startsWith('events ') && text.includes('"kind\\":\\"removal'))).toBe(true)
  expect(left.filter((text) => text.includes(life ?? ''))).toHaveLength(1)
  expect(await api.backups()).toEqual([])
  expect(await api.removals()).toEqual([])
  expect(await linkedDevices(phone)).toEqual([])
  await converse(api, world.whatsapp, other, world.newNumber(), 'untouched')
})

test('F2: whoever ends in the middle of a removal leaves it to the next, which unlinks, keeps and destroys once', async () => {
  const installation = await world.install()
  const first = await installation.start()
  const phone = world.newNumber()
  await pairByQr(first.api, world.whatsapp, 'shop', phone)
  await first.api.act('shop', 'stop')
  await inPhase(first.api, 'shop', 'stopped', ({ status }) => status.owner === null)
  // The server hears nothing of the device, so its logout waits for an answer when the process dies.
  await world.whatsapp.fault({ kind: 'freeze', phone })
  const { id } = (await first.api.remove('shop')) ?? { id: '' }
  await first.says('the device of a deleted session is unlinked')
  await first.kill()
  await world.whatsapp.clearFaults()
  const { api } = await installation.start()
  const removal = await workedOff(api, id)
  expect(removal.phase).toBe('kept')
  expect(await linkedDevices(phone)).toEqual([])
  expect((await api.backups()).map((backup) => backup.id)).toEqual([removal.backup])
})
