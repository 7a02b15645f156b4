import { expect } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { textsIn } from '#test/e2e/people.ts'
import type { World } from '#test/e2e/world.ts'
import type { Fleet } from './fleet.ts'

/** After each text, in each direction: enough that every hand-over meets some, and what an emulator of a store can bear. */
const PAUSE_MS = { embedded: 30, google: 300 } as const
const SETTLE_WITHIN_MS = 60_000

/** People who write to the sessions, and sessions that write to them, all the time. */
export interface Traffic {
  /** Texts written so far. */
  readonly count: number
  /**
   * Writes no more, and waits until every text has arrived: each one once in the feed of its session, each one of a session
   * once on the phone it was for. Answers how many there were.
   */
  stop(): Promise<number>
}

export async function startTraffic(world: World, fleet: Fleet): Promise<Traffic> {
  const { whatsapp } = world
  const word = `of ${world.newNumber()}`
  const people = [world.newNumber(), world.newNumber(), world.newNumber()]
  for (const phone of people) await whatsapp.phone(phone)
  /** Whom a session talks with, and what either of the two has written. */
  const talks = fleet.linked.map((linked, at) => ({
    ...linked,
    person: people[at % people.length] ?? '',
    heard: [] as string[],
    said: [] as string[],
  }))
  type Talk = (typeof talks)[number]
  const over = new AbortController()
  let count = 0

  const tell = async (talk: Talk): Promise<void> => {
    const text = `text ${++count} ${word}`
    await whatsapp.send(talk.person, { to: talk.phone, text })
    talk.heard.push(text)
  }
  const answer = async (talk: Talk): Promise<void> => {
    const text = `text ${++count} ${word}`
    await fleet.api.send(talk.session, talk.person, text)
    talk.said.push(text)
  }
  const keepOn = async (write: (talk: Talk) => Promise<void>, stride: number): Promise<void> => {
    for (let at = 0; !over.signal.aborted; at += stride) {
      await write(talks[at % talks.length] as Talk)
      await systemClock.sleep(PAUSE_MS[fleet.stores])
    }
  }
  const allHeard = async (): Promise<void> => {
    for (const { session, heard } of talks) {
      const read = await eventually(
        `${heard.length} texts in the feed of ${session}`,
        async () => (await textsIn(fleet.api, session)).filter((text) => text?.endsWith(word)),
        (seen) => seen.length >= heard.length,
        SETTLE_WITHIN_MS,
      )
      expect(read.map(String).toSorted()).toEqual(heard.toSorted())
    }
  }
  const allRead = async (): Promise<void> => {
    for (const person of people) {
      const said = talks.flatMap((talk) => (talk.person === person ? talk.said : []))
      const read = await eventually(
        `${said.length} texts on the phone ${person}`,
        () => whatsapp.messages(person),
        (seen) => seen.length >= said.length,
        SETTLE_WITHIN_MS,
      )
      expect(read.map(({ text }) => text).toSorted()).toEqual(said.toSorted())
      expect(read.filter(({ copies }) => copies > 1)).toEqual([])
    }
  }

  // They get to know each other one after the other: two that write for the first time at once may have to ask again.
  for (const talk of talks) await tell(talk)
  await allHeard()
  for (const talk of talks) await answer(talk)
  await allRead()
  const writing = Promise.all([keepOn(tell, 1), keepOn(answer, 7)])
  // A failure is told by `stop`, which every test calls.
  writing.catch(() => undefined)

  return {
    get count() {
      return count
    },
    async stop() {
      over.abort()
      await writing
      await allHeard()
      await allRead()
      return count
    },
  }
}
