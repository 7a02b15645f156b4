import { systemClock } from '#shared/clock.ts'
import type { WhatsAppAdmin } from '../whatsapp/client.ts'
import { mooringApi, type Api, type SentMessage } from '../e2e/api.ts'
import { eventually } from '../e2e/eventually.ts'
import type { Linked } from '../e2e/people.ts'

interface Wish {
  api: Api
  whatsapp: WhatsAppAdmin
  linked: Linked
  /** Those who are written to, in turn. */
  people: readonly string[]
  count: number
  perSecond: number
}

export interface TextsFigures {
  /** From the first one to the last one's acceptance by the API. */
  acceptedPerSecond: number
  /** From the first one until all are at their people. */
  seconds: number
  /** Messages that WhatsApp was sent, each one encrypted; no more than there are texts. */
  encrypted: number
  /** Ids that came more than once. */
  twice: number
  /** Texts that a person reads after one that was accepted later. */
  outOfOrder: number
  lost: number
  /** By the state that the API tells in the end. */
  states: Readonly<Record<string, number>>
}

/** Sends texts at a rate through one session, and says what WhatsApp and the people saw of it. */
export async function sendTexts(wish: Wish): Promise<TextsFigures> {
  const { api, whatsapp, linked, people, count, perSecond } = wish
  for (const person of people) await whatsapp.phone(person)
  // One key alone may ask no more often than this sends.
  const keys = await Promise.all([1, 2, 3].map((each) => newKey(api, each)))
  const startMs = systemClock.monotonicMs()
  const posts: Promise<SentMessage>[] = []
  for (let at = 0; at < count; at++) {
    const dueMs = startMs + (at * 1000) / perSecond
    await systemClock.sleep(Math.max(0, dueMs - systemClock.monotonicMs()))
    const person = people[at % people.length] ?? ''
    const post = keys[at % keys.length]?.send(linked.session, person, String(at))
    // What is asked for at once is accepted in no order: each chat waits for its own turn.
    if (post) posts.push(post)
    if (posts.length % people.length === 0) await Promise.all(posts.slice(-people.length))
  }
  const ids = (await Promise.all(posts)).map(({ id }) => id)
  const acceptedMs = systemClock.monotonicMs() - startMs
  const read = () => Promise.all(people.map((person) => whatsapp.messages(person)))
  await eventually('every text to be read', read, (all) => all.flat().length >= count, 60_000 + count * 20)
  const seconds = (systemClock.monotonicMs() - startMs) / 1000
  const states = await eventually(
    'every state to be told',
    () => statesOf(api, linked.session),
    (told) => (told['delivered'] ?? 0) + (told['read'] ?? 0) >= count,
    30_000,
  )
  const texts = (await read()).map((all) => all.map(({ text }) => Number(text)))
  const sent = await whatsapp.accepted()
  const known = new Set(ids)
  const ours = sent.filter(({ id }) => known.has(id))
  return {
    acceptedPerSecond: Math.round((count * 1000) / acceptedMs),
    seconds: Math.round(seconds * 10) / 10,
    encrypted: ours.length,
    twice: ours.length - new Set(ours.map(({ id }) => id)).size,
    outOfOrder: texts.flatMap((all) => all.filter((text, at) => text < (all[at - 1] ?? 0))).length,
    lost: count - new Set(texts.flat()).size,
    states,
  }
}

async function newKey(api: Api, number: number): Promise<Api> {
  const asked = { name: `texts ${number}`, scopes: ['send', 'read'], tenant: api.tenant }
  const { key } = await api.call<{ key: string }>('POST', '/v1/keys', asked)
  return mooringApi({ url: api.url, key, tenant: api.tenant })
}

async function statesOf(api: Api, session: string): Promise<Record<string, number>> {
  const states: Record<string, number> = {}
  for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
    const page: { items: SentMessage[]; next?: string } = await api.call(
      'GET',
      `/v1/sessions/${session}/messages`,
      undefined,
      { limit: '500', ...(after !== undefined && { after }) },
    )
    for (const { state } of page.items) states[state] = (states[state] ?? 0) + 1
    after = page.next
  }
  return states
}
