import type { WhatsAppAdmin } from '#test/whatsapp/client.ts'
import type { RetryNote } from '#test/whatsapp/world.ts'
import type { Api } from './api.ts'
import { eventually } from './eventually.ts'
import type { Installation } from './installation.ts'
import type { MooringProcess } from './mooring-process.ts'
import { pairByQr, textsIn, type Linked } from './people.ts'
import type { World } from './world.ts'

/** People who write to a session and to each other, alone and in a group, and who see what they can't read. */

/** Everybody has a phone and a companion: `0` and `1`. */
const DEVICES = [0, 1] as const
export interface Circle {
  installation: Installation
  mooring: MooringProcess
  api: Api
  whatsapp: WhatsAppAdmin
  linked: Linked
  people: readonly [string, string]
  group: string
}

/** A new installation with a session `shop`, and two people who share a group with it. */
export async function circle({ whatsapp, install, newNumber }: World): Promise<Circle> {
  const installation = await install()
  const mooring = await installation.start()
  const { api } = mooring
  const linked = await pairByQr(api, whatsapp, 'shop', newNumber())
  const people = [newNumber(), newNumber()] as const
  for (const person of people) {
    await whatsapp.phone(person)
    await whatsapp.companion(person)
  }
  const { id: group } = await whatsapp.group('all', [people[0], linked.phone, people[1]])
  return { installation, mooring, api, whatsapp, linked, people, group }
}

export const inFeed = ({ api }: Circle, texts: readonly string[]): Promise<unknown> =>
  eventually('all texts in the feed', async () => {
    const feed = new Set(await textsIn(api, 'shop'))
    return texts.every((text) => feed.has(text))
  })

/** Every device of these people reads every text, once. */
export async function readByAll(
  whatsapp: WhatsAppAdmin,
  people: readonly string[],
  texts: readonly string[],
): Promise<void> {
  for (const person of people) {
    const missing = async (): Promise<string[]> => {
      const read = await whatsapp.messages(person, { device: 'all' })
      return DEVICES.flatMap((device) =>
        texts
          .filter((text) => read.filter((one) => one.device === device && one.text === text).length !== 1)
          .map((text) => `${device} ${text}`),
      )
    }
    await eventually(`${person} to read everything`, missing, (left) => left.length === 0)
  }
}

/** From every device of everybody to the session, alone and in the group, and from the session to everybody. */
export async function everybodyWrites(around: Circle, word: string): Promise<void> {
  const { api, whatsapp, linked, people, group } = around
  for (const [at, person] of people.entries()) {
    for (const device of DEVICES) {
      const texts = [`${word}: ${at}.${device} to you`, `${word}: ${at}.${device} to all`] as const
      await whatsapp.send(person, { to: linked.phone, text: texts[0], device })
      await whatsapp.sendGroup(person, { group, text: texts[1], device })
      await inFeed(around, texts)
    }
    await api.send('shop', person, `${word}: to ${at}`)
    await readByAll(whatsapp, [person], [`${word}: to ${at}`])
  }
  await api.send('shop', group, `${word}: to all`)
  await readByAll(whatsapp, people, [`${word}: to all`])
}

/** How many messages had to be asked for again, between each two devices. */
export function asked(retries: readonly RetryNote[]): Map<string, number> {
  const ids = new Map<string, Set<string>>()
  for (const { by, sender, id, count } of retries) {
    const pair = `${by} of ${sender}`
    ids.set(pair, (ids.get(pair) ?? new Set()).add(`${id} ${count}`))
  }
  return new Map([...ids].map(([pair, set]) => [pair, set.size]))
}
