import type { Api, Event, ReceivedMessage, SentMessage } from '../e2e/api.ts'
import { eventually } from '../e2e/eventually.ts'
import type { MooringProcess } from '../e2e/mooring-process.ts'
import type { WhatsAppAdmin } from '../whatsapp/client.ts'
import type { Correspondence } from './correspondence.ts'

/** What a soak counted. All but the first four must be 0, and the high-water mark 1. */
export interface Figures {
  readonly kills: number
  readonly textsIn: number
  readonly textsOut: number
  readonly startMs: number
  /** Texts that a phone sent and that are not in the feed. */
  readonly lostIn: number
  /** Accepted texts that some device of a reader never read. */
  readonly lostOut: number
  /** Accepted texts that are not acknowledged, or have failed. */
  readonly unacknowledged: number
  /** Ids that are in the feed twice, or at all without having been sent. */
  readonly doubledIn: number
  /** Texts that some reader's device read twice. */
  readonly doubledOut: number
  readonly qrsAsked: number
  readonly newDevices: number
  /** Retry receipts that our sessions sent, and those that others sent for what ours wrote. */
  readonly retriesByUs: number
  readonly retriesForUs: number
  readonly replaced: number
  readonly loginsRefused: number
  /** Recipient devices that a message was not encrypted for. */
  readonly leftOut: number
  readonly troubles: number
  /** The most connections that one device had at the same time. */
  readonly openMax: number
}

interface Scene {
  api: Api
  whatsapp: WhatsAppAdmin
  all: readonly Correspondence[]
  kills: number
  processes: readonly MooringProcess[]
}

const SETTLED_WITHIN_MS = 60_000
const ACKNOWLEDGED: readonly SentMessage['state'][] = ['sent', 'delivered', 'read']

/** Waits until everything has come to rest, or for a minute, and counts. */
export async function judge(scene: Scene): Promise<Figures> {
  const { whatsapp, all, kills, api } = scene
  const atRest = (counts: readonly Count[]): boolean =>
    counts.every(({ lostIn, lostOut, unacknowledged }) => lostIn + lostOut + unacknowledged === 0)
  const look = (): Promise<Count[]> => Promise.all(all.map((one) => count(api, whatsapp, one)))
  await eventually('everything to arrive', look, atRest, SETTLED_WITHIN_MS).catch(() => undefined)
  const counts = await look()
  const report = await whatsapp.report()
  const ours = all.map(({ linked }) => linked)
  const devices = ours.flatMap(({ jid }) => report.devices[jid] ?? [])
  const sum = (of: readonly number[]): number => of.reduce((total, one) => total + one, 0)
  const qrs = await Promise.all(ours.map(({ session }) => qrsOf(api, session)))
  const isOurs = new Set(ours.map(({ jid }) => jid))
  return {
    kills,
    textsIn: sum(all.map(({ incoming }) => incoming.size)),
    textsOut: sum(all.map(({ outgoing }) => outgoing.length)),
    startMs: Math.round(Math.max(...devices.flatMap(({ gapsMs }) => gapsMs), 0)),
    lostIn: sum(counts.map(({ lostIn }) => lostIn)),
    lostOut: sum(counts.map(({ lostOut }) => lostOut)),
    unacknowledged: sum(counts.map(({ unacknowledged }) => unacknowledged)),
    doubledIn: sum(counts.map(({ doubledIn }) => doubledIn)),
    doubledOut: sum(counts.map(({ doubledOut }) => doubledOut)),
    qrsAsked: sum(qrs) - ours.length,
    newDevices: sum(ours.map(({ phone }) => (report.phones[phone]?.linkedMax ?? 0) - 1)),
    retriesByUs: report.retries.filter(({ by }) => isOurs.has(by)).length,
    retriesForUs: report.retries.filter(({ sender }) => isOurs.has(sender)).length,
    replaced: report.totals.replaced,
    loginsRefused: sum(devices.map(({ loginsRefused }) => loginsRefused)),
    leftOut: sum(devices.map(({ leftOut }) => leftOut)),
    troubles: report.troubles.length,
    openMax: Math.max(...devices.map(({ openMax }) => openMax)),
  }
}

/** What is wrong, in words; empty when everything is as promised. */
export function violations(figures: Figures): string[] {
  const { kills: _, textsIn: _in, textsOut: _out, startMs: _start, openMax, ...zeros } = figures
  const wrong = Object.entries(zeros).flatMap(([name, value]) => (value === 0 ? [] : [`${name}: ${value}`]))
  return openMax === 1 ? wrong : [...wrong, `openMax: ${openMax}`]
}

type Count = Pick<Figures, 'lostIn' | 'lostOut' | 'unacknowledged' | 'doubledIn' | 'doubledOut'>

async function count(api: Api, whatsapp: WhatsAppAdmin, one: Correspondence): Promise<Count> {
  const { linked, incoming, outgoing } = one
  const feed = await wholeFeed(api, linked.session)
  const times = new Map<string, number>()
  for (const { id, text } of feed) times.set(id, (times.get(id) ?? 0) + (incoming.get(id) === text ? 1 : 2))
  const readers = [...new Set(outgoing.flatMap((message) => message.readers))]
  const copies = new Map<string, number>()
  for (const reader of readers) {
    for (const { device, text, copies: more } of await whatsapp.messages(reader, { device: 'all' })) {
      const place = `${reader} ${device} ${text}`
      copies.set(place, (copies.get(place) ?? 0) + more)
    }
  }
  // Every person here has a phone and one companion.
  const readings = outgoing.flatMap(({ text, readers }) =>
    readers.flatMap((reader) => [0, 1].map((device) => copies.get(`${reader} ${device} ${text}`) ?? 0)),
  )
  return {
    lostIn: [...incoming.keys()].filter((id) => !times.has(id)).length,
    lostOut: readings.filter((read) => read === 0).length,
    unacknowledged: await unacknowledged(api, one),
    doubledIn: [...times.values()].filter((often) => often > 1).length,
    doubledOut: readings.filter((read) => read > 1).length,
  }
}

/** How many texts the server has not acknowledged. */
export async function unacknowledged(api: Api, { linked, outgoing }: Correspondence): Promise<number> {
  const sent = await sentStates(api, linked.session)
  return outgoing.filter(({ id }) => !ACKNOWLEDGED.includes(sent.get(id ?? '') ?? 'failed')).length
}

async function wholeFeed(api: Api, session: string): Promise<ReceivedMessage[]> {
  const items: ReceivedMessage[] = []
  for (let after: string | undefined; ;) {
    const page = await api.feed(session, after)
    items.push(...page.items)
    if (page.items.length === 0) return items
    after = page.next
  }
}

/** Pages that begin with the newest. */
async function newestFirst<T>(api: Api, path: string): Promise<T[]> {
  const items: T[] = []
  for (let after: string | undefined; ;) {
    const query = { limit: '500', ...(after === undefined ? {} : { after }) }
    const page = await api.call<{ items: T[]; next?: string }>('GET', path, undefined, query)
    items.push(...page.items)
    if (page.next === undefined) return items
    after = page.next
  }
}

async function sentStates(api: Api, session: string): Promise<Map<string, SentMessage['state']>> {
  const messages = await newestFirst<SentMessage>(api, `/v1/sessions/${session}/messages`)
  return new Map(messages.map(({ id, state }) => [id, state]))
}

/** How often a person had to look for a QR. */
async function qrsOf(api: Api, session: string): Promise<number> {
  const events = await newestFirst<Event>(api, `/v1/sessions/${session}/events`)
  return events.filter(({ to }) => to === 'pairing').length
}
