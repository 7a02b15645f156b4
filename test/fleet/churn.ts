import { expect } from 'vitest'
import type { Removal } from '#test/e2e/api.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { textsIn } from '#test/e2e/people.ts'
import type { World } from '#test/e2e/world.ts'
import type { Fleet } from './fleet.ts'

/** When of a life its owner has had enough of it. */
const MOMENTS = ['connected', 'created', 'pairing', 'scanned'] as const
type Moment = (typeof MOMENTS)[number]

/** A takeover on the emulator takes a lease and some seconds, and every step of a life may meet one. */
const WITHIN_MS = 120_000

/** One life of a name, as it was seen from outside. */
interface Life {
  name: string
  phone: string
  life: string | null
  moment: Moment
  removal: Removal
}

/** People who create, link, delete and create the same names again, all the time. */
export interface Churn {
  /** Ends when every life that was begun is over, and says what is wrong with any. Answers all of them. */
  stop(): Promise<readonly Life[]>
}

export function startChurn(world: World, fleet: Fleet, names: readonly string[]): Churn {
  const { whatsapp } = world
  const { api } = fleet
  const over = new AbortController()
  const lives: Life[] = []

  /** As a person does it: the code that is shown now, and again when nothing came of it, since a runner may end at any moment. */
  const scan = (name: string, phone: string) =>
    eventually(
      `the QR of ${name} to be scanned`,
      async () => whatsapp.scan(phone, (await api.qr(name)).qr),
      undefined,
      WITHIN_MS,
    )

  /** Resolves when it is connected. */
  const link = (name: string, phone: string) =>
    eventually(
      `${name} to be linked and connected`,
      async () => {
        const { phase } = (await api.get(name)).status
        if (phase === 'connected') return true
        if (phase === 'pending' || phase === 'unpaired') await api.openPairing(name)
        if (phase === 'pairing') await whatsapp.scan(phone, (await api.qr(name)).qr)
        return false
      },
      undefined,
      WITHIN_MS,
    )

  async function live(name: string, round: number): Promise<void> {
    const phone = world.newNumber()
    await whatsapp.phone(phone)
    const moment = MOMENTS[round % MOMENTS.length] as Moment
    const isPurged = round % 2 === 1
    const text = `${name} in round ${round}`
    await api.create(name)
    const { life } = await api.get(name)
    if (moment === 'connected') {
      await link(name, phone)
      const friend = world.newNumber()
      await whatsapp.phone(friend)
      await whatsapp.send(friend, { to: phone, text })
      await eventually(
        `"${text}" in the feed of ${name}`,
        () => textsIn(api, name),
        (seen) => seen.includes(text),
        WITHIN_MS,
      )
      // Nothing of an earlier life is in it.
      expect(await textsIn(api, name)).toEqual([text])
    } else if (moment !== 'created') {
      await api.openPairing(name)
      if (moment === 'scanned') await scan(name, phone)
    }
    const begun = await api.remove(name, isPurged)
    // A life that left nothing anywhere needs no removal.
    if (!begun) return
    const removal = await eventually(
      `the removal ${begun.id} to be worked off`,
      () => api.removal(begun.id),
      ({ phase }) => phase !== 'unlinking',
      WITHIN_MS,
    )
    lives.push({ name, phone, life, moment, removal })
  }

  const running = Promise.all(
    names.map(async (name, at) => {
      for (let round = at; !over.signal.aborted; round++) await live(name, round)
    }),
  )
  // A failure is told by `stop`, which every test calls.
  running.catch(() => over.abort())

  return {
    async stop() {
      over.abort()
      await running
      const left = lives.map(async (life) => ({
        ...life,
        linked: (await whatsapp.phoneReport(life.phone)).linkedDevices.length,
      }))
      const isClean = ({ linked, removal }: Life & { linked: number }): boolean =>
        linked === 0 && removal.phase !== 'still_linked'
      expect((await Promise.all(left)).filter((life) => !isClean(life))).toEqual([])
      expect(new Set(lives.map(({ life }) => life)).size).toBe(lives.length)
      return lives
    },
  }
}
