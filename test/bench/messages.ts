import { join } from 'node:path'
import { systemClock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { parseSessionId, parseTenantId, sessionKey, type SessionKey } from '#shared/ids.ts'
import { systemRandom } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import { whatsappAdmin } from '../whatsapp/client.ts'
import { prepareDataDir, TENANT } from './prepare.ts'
import { KEY, startMooring, startStandIn, withTempDir, type Program } from './processes.ts'
import { type Figure } from './report.ts'

const SESSIONS = 10
const TEXTS = 60

const keyOf = (at: number): SessionKey => sessionKey(parseTenantId(TENANT), parseSessionId(`s${at}`))

/** Entries and bytes that the journals of all sessions have grown by since these seqs. */
async function grownSince(
  stores: Stores,
  seqs: readonly number[],
): Promise<{ entries: number; bytes: number }> {
  let entries = 0
  let bytes = 0
  for (const [at, seq] of seqs.entries()) {
    for (const entry of await stores.journal.read(keyOf(at), seq + 1)) {
      entries++
      bytes += entry.sealed.length
    }
  }
  return { entries, bytes }
}

const headsOf = (stores: Stores): Promise<number[]> =>
  Promise.all(
    Array.from({ length: SESSIONS }, async (_, at) => (await stores.journal.head(keyOf(at)))?.seq ?? 0),
  )

/** What a message received and a message sent cost in journal entries, under load and after the first contact. */
export async function benchMessages(): Promise<readonly Figure[]> {
  return withTempDir(async (dir) => {
    const standIn = await startStandIn()
    const at = { dataDir: join(dir, 'data'), workDir: join(dir, 'work'), url: standIn.url }
    const admin = whatsappAdmin(standIn.adminUrl)
    const seeded = await admin.seed({ count: SESSIONS, preKeys: 100 })
    await prepareDataDir(at.dataDir, seeded)
    const mooring = startMooring(at)
    try {
      const { line } = await mooring.line((one) => one['message'] === 'listening')
      await mooring.line((one) => one['message'] === 'sessions restored')
      const api = `http://127.0.0.1:${String(line['port'])}/v1/sessions`
      const stores = await openEmbeddedStores({
        dataDir: at.dataDir,
        clock: systemClock,
        random: systemRandom,
      })
      // Each session talks with a contact of its own: sessions of one process that write to the same one wait in turn.
      const peers = seeded.map((_, session) => `4917000000${String(session).padStart(2, '0')}`)
      for (const peer of peers) await admin.phone(peer)
      const receive = async (): Promise<void> => {
        for (const [session, { phone }] of seeded.entries())
          await admin.burst(peers[session] ?? '', { to: phone, count: TEXTS, everyMs: 2, prefix: 'text ' })
        await idle(async () =>
          (await Promise.all(seeded.map(async ({ jid }) => (await admin.device(jid)).queued))).every(
            (queued) => queued === 0,
          ),
        )
      }
      const send = async (): Promise<void> => {
        const headers = { 'x-api-key': KEY, 'content-type': 'application/json' }
        const post = async (session: number, text: number): Promise<void> => {
          const url = `${api}/s${session}/messages?tenant=${TENANT}`
          const body = JSON.stringify({ to: peers[session], text: `text ${text}` })
          for (;;) {
            const answer = await fetch(url, { method: 'POST', headers, body })
            if (answer.status === 202) return
            if (answer.status !== 429) throw new Error(`a message was answered with ${answer.status}`)
            await new Promise((resolve) =>
              setTimeout(resolve, Number(answer.headers.get('retry-after') ?? 1) * 1000),
            )
          }
        }
        await Promise.all(
          seeded.flatMap((_, session) =>
            Array.from({ length: TEXTS }, (_unused, text) => post(session, text)),
          ),
        )
        await idle(async () =>
          (
            await Promise.all(seeded.map((_, session) => stores.outbox.pending(keyOf(session), { limit: 1 })))
          ).every((pending) => pending.length === 0),
        )
      }
      // The first contact sets up sessions and look-ups; what counts is the talk after it.
      await receive()
      await send()
      const received = await measure(stores, mooring, receive)
      const sent = await measure(stores, mooring, send)
      await stores.close()
      const messages = SESSIONS * TEXTS
      const perCore = ({ cpuMs }: { cpuMs: number }): string =>
        `${((1000 * messages) / cpuMs).toFixed(0)} a second and core`
      return [
        {
          name: 'journal appends per message received',
          value: (received.entries / messages).toFixed(2),
          goal: '≤ 1.2',
          note: `${(received.bytes / messages).toFixed(0)} bytes a message`,
        },
        {
          name: 'journal appends per message sent',
          value: (sent.entries / messages).toFixed(2),
          goal: '≤ 1.2',
          note: `${(sent.bytes / messages).toFixed(0)} bytes a message`,
        },
        {
          name: 'messages received, by CPU',
          value: perCore(received),
          goal: '–',
          note: `${(received.cpuMs / messages).toFixed(1)} ms of CPU each, control and runner in one process`,
        },
        {
          name: 'messages sent, by CPU',
          value: perCore(sent),
          goal: '–',
          note: `${(sent.cpuMs / messages).toFixed(1)} ms of CPU each, the request that asked for it included`,
        },
      ]
    } finally {
      await mooring.kill('SIGKILL')
      await standIn.program.kill('SIGTERM')
    }
  })
}

async function measure(
  stores: Stores,
  mooring: Program,
  work: () => Promise<void>,
): Promise<{ entries: number; bytes: number; cpuMs: number }> {
  const before = await headsOf(stores)
  const { cpuMs } = await mooring.usage()
  await work()
  const grown = await grownSince(stores, before)
  return { ...grown, cpuMs: (await mooring.usage()).cpuMs - cpuMs }
}

/** Bounded: a run that does not come to rest is told of instead of going on for ever. */
async function idle(holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error('the messages were not done within a minute')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
