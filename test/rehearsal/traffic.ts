import { systemClock } from '#shared/clock.ts'
import type { WhatsAppAdmin } from '../whatsapp/client.ts'
import type { Api, ReceivedMessage } from '../e2e/api.ts'
import { eventually } from '../e2e/eventually.ts'

/** One text in each direction this often: at every moment of a hand-over some are on their way. */
const EVERY_MS = 40
const PEER = '491700000000'
/** Retried sends and queues that fill while a session has no socket are emptied within this. */
const ARRIVES_WITHIN_MS = 60_000

export interface Device {
  session: string
  phone: string
  jid: string
}

export interface Tally {
  /** Texts that the stand-in took for a session, and that the API accepted for the peer. */
  toSessions: number
  toPeer: number
  lost: readonly string[]
  doubled: readonly string[]
}

export interface Traffic {
  /** Where the API is served from now on. */
  sendBy(api: Api): void
  /** Writes no more, waits for what is on its way, and counts. A text that does not come in time is lost. */
  stop(): Promise<Tally>
}

/** A person who writes to one session after the other, and a program that has each of them write to that person. */
export async function startTraffic(
  admin: WhatsAppAdmin,
  devices: readonly Device[],
  first: Api,
): Promise<Traffic> {
  let api = first
  const stopping = new AbortController()
  const received = new Map<string, string[]>()
  const sent: string[] = []
  await admin.phone(PEER)

  const write = async (one: (device: Device, count: number) => Promise<void>): Promise<void> => {
    for (let count = 0; !stopping.signal.aborted; count++) {
      const device = devices[count % devices.length]
      if (device) await one(device, count)
      await systemClock.sleep(EVERY_MS)
    }
  }
  const writing = Promise.all([
    write(async ({ phone, session }, count) => {
      const text = `in ${count}`
      await admin.send(PEER, { to: phone, text })
      received.set(session, [...(received.get(session) ?? []), text])
    }),
    write(async ({ session }, count) => {
      const text = `out ${count}`
      // The load balancer moves traffic while requests are under way: what was refused is no promise.
      const isAccepted = await api.send(session, PEER, text).then(
        () => true,
        () => false,
      )
      if (isAccepted) sent.push(text)
    }),
  ])

  // A failure is told by `stop`; what ends the rehearsal before that has a reason of its own.
  writing.catch(() => undefined)

  async function atPeer(): Promise<string[]> {
    return (await admin.messages(PEER)).map(({ text }) => text)
  }

  return {
    sendBy: (next) => {
      api = next
    },
    async stop() {
      stopping.abort()
      await writing
      const lost: string[] = []
      const doubled: string[] = []
      const count = async (where: string, wanted: readonly string[], look: () => Promise<string[]>) => {
        let seen: string[] = []
        await eventually(
          where,
          async () => (seen = await look()),
          () => wanted.every((text) => seen.includes(text)),
          ARRIVES_WITHIN_MS,
        ).catch(() => undefined)
        lost.push(...wanted.filter((text) => !seen.includes(text)).map((text) => `${where}: ${text}`))
        doubled.push(
          ...seen.filter((text, at) => seen.indexOf(text) !== at).map((text) => `${where}: ${text}`),
        )
      }
      for (const [session, texts] of received) await count(session, texts, () => feedOf(api, session))
      await count('the peer', sent, atPeer)
      const toSessions = [...received.values()].reduce((sum, texts) => sum + texts.length, 0)
      return { toSessions, toPeer: sent.length, lost, doubled }
    },
  }
}

/** Everything in the feed of a session. */
async function feedOf(api: Api, session: string): Promise<string[]> {
  const items: ReceivedMessage[] = []
  for (let page = await api.feed(session); page.items.length > 0;) {
    items.push(...page.items)
    page = await api.feed(session, page.items.at(-1)?.cursor)
  }
  return items.map(({ text }) => text ?? '')
}
