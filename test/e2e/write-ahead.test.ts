import type { AuthenticationCreds } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { dataKeys } from '#runner/state/data-keys.ts'
import { openEntry } from '#runner/state/sealed-entry.ts'
import { CREDS_KEY, decodeValue, encodeValue } from '#runner/state/record.ts'
import { RecordMap } from '#runner/state/record-map.ts'
import { systemClock } from '#shared/clock.ts'
import { systemRandom } from '#shared/random.ts'
import { eventually } from './eventually.ts'
import { useLocalRunners, type Hold, type LocalRunner } from './in-process.ts'
import type { MooringProcess } from './mooring-process.ts'
import { connected, converse, pairByQr, textsIn, type Linked } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()
const startLocal = useLocalRunners()

/** What must not happen while the store is slow has had that many round trips to happen. */
const LOOKS = 25

interface Scene {
  control: MooringProcess
  local: LocalRunner
}

async function begin(): Promise<Scene> {
  return startLocal({ installation: await world.install(), whatsappUrl: world.whatsappUrl })
}

async function paired(): Promise<Scene & { linked: Linked }> {
  const scene = await begin()
  return { ...scene, linked: await pairByQr(scene.control.api, world.whatsapp, 'shop', world.newNumber()) }
}

/** A person with a phone and a companion, who has written with the session before. */
async function friend({ control, linked }: Scene & { linked: Linked }): Promise<string> {
  const phone = world.newNumber()
  await world.whatsapp.phone(phone)
  await world.whatsapp.companion(phone)
  await converse(control.api, world.whatsapp, linked, phone, 'before')
  return phone
}

/** Which records each entry changed, and when it was durable. */
async function entriesOf({ stores, appends }: LocalRunner) {
  const [first] = appends
  if (!first) return []
  const { key } = first
  const session = await stores.sessions.get(key)
  if (!session) throw new Error('the session is gone')
  const ring = await dataKeys({ stores, clock: systemClock, random: systemRandom }).ring(key, session)
  const records = new RecordMap()
  return appends.map(({ entry, durableAtNs }) => {
    const body = openEntry(key, entry, ring, records)
    if (body.kind === 'reset') records.clear()
    for (const [name, value] of body.changes) records.set(name, value)
    const creds = decodeValue(records.get(CREDS_KEY) ?? encodeValue({})) as Partial<AuthenticationCreds>
    return { names: new Set(body.changes.map(([name]) => name)), durableAtNs, creds }
  })
}

/** An entry is on its way to the store. */
const isWriting = ({ appends }: LocalRunner): boolean =>
  appends.some(({ durableAtNs }) => durableAtNs === undefined)
const writing = (local: LocalRunner): Promise<unknown> => eventually('an append', () => isWriting(local))

/** Lets entries pass until one with such a record waits, and answers the names of its records. */
async function nextWith(type: string, local: LocalRunner, hold: Hold): Promise<ReadonlySet<string>> {
  for (;;) {
    await writing(local)
    const { names } = (await entriesOf(local)).at(-1) ?? { names: new Set<string>() }
    if ([...names].some((name) => name.startsWith(type))) return names
    hold.pass()
    const { length } = local.appends
    await eventually('the next entry', () => local.appends.length > length || !isWriting(local))
  }
}

/** Looks again and again, and sees the same each time. */
async function stays<T>(value: T, look: () => Promise<T>): Promise<void> {
  for (let at = 0; at < LOOKS; at++) expect(await look()).toEqual(value)
}

/** The moment at which all of these records, as they are from the entry `from` on, were durable. */
async function durableAt(local: LocalRunner, from: number, names: readonly string[]): Promise<bigint> {
  const entries = (await entriesOf(local)).slice(from)
  const times = names.map((name) => {
    const entry = entries.find((one) => one.names.has(name))
    expect(entry, `an entry with ${name}`).toBeDefined()
    return entry?.durableAtNs ?? 0n
  })
  return times.reduce((latest, time) => (time > latest ? time : latest), 0n)
}

const userOf = (jid: string): string => jid.split(/[:@]/)[0] ?? ''

/** The records of the sessions with all devices of a phone. */
async function sessionsWith(phone: string): Promise<string[]> {
  const { devices } = await world.whatsapp.report()
  return Object.values(devices)
    .filter((device) => device.phone === phone && device.simulated)
    .map(({ lid, device }) => `session/${userOf(lid)}_1.${device}`)
}

test('a text to a person reaches the server after the ratchet of every device that it is for is durable', async () => {
  const scene = await paired()
  const { control, local, linked } = scene
  const person = await friend(scene)
  const from = local.appends.length
  const hold = local.holdAppends()
  const { id } = await control.api.send('shop', person, 'slowly')
  await writing(local)
  await stays([], () => world.whatsapp.accepted(id))
  hold.release()
  const [seen] = await eventually(
    'it to be accepted',
    () => world.whatsapp.accepted(id),
    (all) => all[0],
  )
  const names = [...(await sessionsWith(person)), ...(await sessionsWith(linked.phone))]
  expect(names).toHaveLength(3)
  expect(BigInt(seen?.seenAtNs ?? 0)).toBeGreaterThan(await durableAt(local, from, names))
})

test('a text to a group reaches the server after our sender key is durable, and so does its first use', async () => {
  const scene = await paired()
  const { control, local, linked } = scene
  const person = await friend(scene)
  const { id: group } = await world.whatsapp.group('slow', [person, linked.phone])
  const { lid } = await world.whatsapp.device(linked.jid)
  for (const text of ['the first brings the key', 'the second only uses it']) {
    const from = local.appends.length
    const hold = local.holdAppends()
    const { id } = await control.api.send('shop', group, text)
    await writing(local)
    await stays([], () => world.whatsapp.accepted(id))
    hold.release()
    const [seen] = await eventually(
      'it to be accepted',
      () => world.whatsapp.accepted(id),
      (all) => all[0],
    )
    const own = `sender-key/${group}::${userOf(lid)}_1::1`
    expect(BigInt(seen?.seenAtNs ?? 0)).toBeGreaterThan(await durableAt(local, from, [own]))
  }
})

test('a message is receipted after its ratchet step and its text are durable in one entry', async () => {
  const scene = await paired()
  const { control, local, linked } = scene
  const person = await friend(scene)
  const receipted = async (): Promise<number> => (await world.whatsapp.device(linked.jid)).receipted
  const before = await receipted()
  const from = local.appends.length
  const hold = local.holdAppends()
  await world.whatsapp.send(person, { to: linked.phone, text: 'slowly' })
  await writing(local)
  await stays(before, receipted)
  expect(await textsIn(control.api, 'shop')).not.toContain('slowly')
  hold.release()
  await eventually('the receipt', receipted, (count) => count === before + 1)
  const entries = (await entriesOf(local)).slice(from)
  const entry = entries.find(({ names }) => [...names].some((name) => name.startsWith('app/inbox/')))
  const { lid } = await world.whatsapp.phone(person)
  expect([...(entry?.names ?? [])]).toContain(`session/${userOf(lid)}_1.0`)
  await eventually('the text', async () => (await textsIn(control.api, 'shop')).includes('slowly'))
})

test('pairing is countersigned after the credentials are durable, pre-keys are offered after they are', async () => {
  const { control, local } = await begin()
  const { api } = control
  const phone = world.newNumber()
  await world.whatsapp.phone(phone)
  await api.create('shop')
  await api.openPairing('shop')
  const { qr } = await eventually('the QR', () => api.qr('shop'))
  const linkedDevices = async (): Promise<number> =>
    (await world.whatsapp.phoneReport(phone)).linkedDevices.length

  const hold = local.holdAppends()
  const scanned = world.whatsapp.scan(phone, qr)
  const credentials = await nextWith('creds/', local, hold)
  await stays(0, linkedDevices)
  hold.pass()
  const { jid } = await scanned
  expect([...credentials]).toEqual(['creds/'])
  expect(await linkedDevices()).toBe(1)

  const preKeys = await nextWith('pre-key/', local, hold)
  const uploaded = async (): Promise<number> => (await world.whatsapp.device(jid)).preKeysUploaded
  await stays(0, uploaded)
  hold.release()
  await connected(api, 'shop')
  expect(preKeys).toContain('creds/')
  expect(preKeys.size).toBe((await uploaded()) + 1)
})

test('the key that a retry receipt offers is durable before it is offered', async () => {
  const scene = await paired()
  const { local, linked } = scene
  const person = await friend(scene)
  const next = (await entriesOf(local)).at(-1)?.creds.firstUnuploadedPreKeyId
  const id = '3A0000000000UNREADABLE'
  const t = String(Math.floor(Date.now() / 1000))
  const unreadable = {
    tag: 'message',
    attrs: { id, from: `${person}@s.whatsapp.net`, type: 'text', t },
    content: [{ tag: 'enc', attrs: { type: 'msg', v: '2' }, content: 'nobody has a key to this' }],
  }
  const asked = async (): Promise<number> =>
    (await world.whatsapp.report()).retries.filter((retry) => retry.id === id).length
  // The first request has no keys.
  await world.whatsapp.push(linked.jid, unreadable)
  await eventually('the first request', asked, (times) => times === 1)
  const hold = local.holdAppends()
  await world.whatsapp.push(linked.jid, unreadable)
  const passing = async (): Promise<number> => {
    hold.pass()
    return asked()
  }
  await eventually('the second request', passing, (times) => times === 2)
  const durable = (await entriesOf(local)).filter(({ durableAtNs }) => durableAtNs !== undefined)
  hold.release()
  expect(durable.some(({ names }) => names.has(`pre-key/${next}`))).toBe(true)
})
