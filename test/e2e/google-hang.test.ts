import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { cloudEnvironment } from '#test/cloud/environment.ts'
import { skipReason, startCloud, type Cloud } from '#test/cloud/google-subject.ts'
import type { Api } from './api.ts'
import { eventually } from './eventually.ts'
import { connected, converse, pairByQr, textsIn, type Linked } from './people.ts'
import { useWorld } from './world.ts'

/** A cold JVM on a machine that runs other tests. */
const START_WITHIN_MS = 90_000
const SESSIONS = 3
/** Between two texts of one person. */
const PAUSE_MS = 150
/** The fault itself, and no wait for anything: three leases, so that every call that was under way has long been given up. */
const HANGS_FOR_MS = 30_000
/** Calls that hang are given up after ten seconds, and are then asked again. */
const AFTER_A_HANG_MS = 60_000
/** The hang, and a start before and after it. */
const TIMEOUT = { timeout: 240_000 }

describe.skipIf(skipReason !== undefined)('while Firestore hangs for 30 s under traffic', TIMEOUT, () => {
  const world = useWorld()
  let cloud: Cloud
  beforeAll(async () => {
    cloud = await startCloud()
  }, START_WITHIN_MS)
  afterAll(() => cloud.close())

  test('nothing is acknowledged that is not durable, everything resumes, and no session is paired again', async () => {
    const { whatsapp } = world
    const here = await world.install(cloudEnvironment(cloud))
    const first = await here.start()
    const fleet: Linked[] = []
    for (let index = 0; index < SESSIONS; index++)
      fleet.push(await pairByQr(first.api, whatsapp, `s${index}`, world.newNumber()))
    const devices = () => Promise.all(fleet.map(({ jid }) => whatsapp.device(jid)))

    const traffic = await keepWriting(first.api, fleet)
    await eventually('traffic to flow', () => traffic.accepted() >= 2 * SESSIONS)
    const hang = systemClock.sleep(HANGS_FOR_MS)
    cloud.emulator.pause()
    try {
      await first.says('lease lost; every socket is dropped')
      await eventually('every socket to be gone', async () =>
        (await devices()).every(({ open }) => open === 0),
      )
      await hang
      expect((await devices()).map(({ open }) => open)).toEqual(fleet.map(() => 0))
    } finally {
      cloud.emulator.resume()
    }
    const refusedAlready = traffic.accepted()
    for (const { session } of fleet) await connected(first.api, session, ({ status }) => status.owner?.alive)
    await eventually(
      'traffic to flow again',
      () => traffic.accepted() >= refusedAlready + 2 * SESSIONS,
      Boolean,
      AFTER_A_HANG_MS,
    )
    const { received, sent } = await traffic.stop()
    for (const [index, { session }] of fleet.entries()) {
      await eventually(
        `every text in the feed of ${session}`,
        async () => missing(await textsIn(first.api, session), received[index] ?? []),
        (left) => left?.length === 0,
        AFTER_A_HANG_MS,
      )
    }
    const read = async () => (await whatsapp.messages(traffic.peer)).map(({ text }) => text)
    await eventually(
      'every accepted text at the peer',
      async () => missing(await read(), sent),
      (left) => left.length === 0,
      AFTER_A_HANG_MS,
    )
    const arrived = await read()
    expect(arrived).toHaveLength(new Set(arrived).size)

    // What it had acknowledged was durable: a process that knows nothing of it finds all of it.
    await first.kill()
    await here.wipeWorkDir()
    const second = await here.start()
    for (const [index, linked] of fleet.entries()) {
      await connected(
        second.api,
        linked.session,
        ({ status }) => status.owner?.alive && status.jid === linked.jid,
      )
      const texts = await textsIn(second.api, linked.session)
      expect(missing(texts, received[index] ?? [])).toEqual([])
      expect(texts).toHaveLength(new Set(texts).size)
      await converse(second.api, whatsapp, linked, traffic.peer, 'at the end')
      const events = await second.api.events(linked.session)
      expect(events.filter(({ to }) => to === 'pairing')).toHaveLength(1)
      expect((await whatsapp.phoneReport(linked.phone)).linkedMax).toBe(1)
    }
    for (const device of await devices())
      expect(device).toMatchObject({ openMax: 1, replaced: 0, retriesSent: 0, retriesReceived: 0 })
  })

  /** A person who writes to every session, and a program that has every session write to that person. */
  async function keepWriting(api: Api, fleet: readonly Linked[]) {
    const { whatsapp } = world
    const peer = world.newNumber()
    await whatsapp.phone(peer)
    const over = new AbortController()
    const received: string[][] = fleet.map(() => [])
    const sent: string[] = []
    const loops = fleet.flatMap(({ session, phone }, index) => [
      (async () => {
        for (let count = 0; !over.signal.aborted; count++) {
          const text = `in ${session} ${count}`
          await whatsapp.send(peer, { to: phone, text })
          received[index]?.push(text)
          await systemClock.sleep(PAUSE_MS)
        }
      })(),
      (async () => {
        for (let count = 0; !over.signal.aborted; count++) {
          const text = `out ${session} ${count}`
          // Refused is as good as accepted, as long as it is said.
          const taken = await api.send(session, peer, text).then(
            () => true,
            () => false,
          )
          if (taken) sent.push(text)
          await systemClock.sleep(PAUSE_MS)
        }
      })(),
    ])
    return {
      peer,
      accepted: () => sent.length,
      stop: async () => {
        over.abort()
        await Promise.all(loops)
        return { received, sent }
      },
    }
  }
})

const missing = (there: readonly (string | undefined)[], wanted: readonly string[]): string[] =>
  wanted.filter((text) => !there.includes(text))
