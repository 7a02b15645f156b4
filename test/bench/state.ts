import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useMultiFileAuthState, type SignalDataSet, type SignalKeyStore } from '@whiskeysockets/baileys'
import { systemClock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { parseSessionId, parseTenantId, sessionKey } from '#shared/ids.ts'
import { createLog } from '#shared/log.ts'
import { systemRandom } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import { dataKeys } from '#runner/state/data-keys.ts'
import { SessionState } from '#runner/state/session-state.ts'
import { fileWorkingCopies } from '#runner/state/working-copy.ts'
import { connectionAuth } from '#runner/whatsapp/auth-state.ts'
import { percentile, type Figure } from './report.ts'

/** A Signal session of a contact one has talked with for a while (facts: 0.9 KB new, about 105 B more a round trip). */
const ROUND_TRIPS = 20

interface Signal {
  _sessions: Record<string, { chains: Record<string, string>; indexInfo: { closed: number } }>
  version: string
}

/** What libsignal stores: a record that is rewritten whole although one chain of it changed. */
function signalRecord(step: number): Signal {
  const chains: Record<string, string> = {}
  for (let trip = 0; trip < ROUND_TRIPS; trip++) {
    const moved = trip === ROUND_TRIPS - 1 ? step : 0
    chains[`chain-${trip}`] = Buffer.from(
      `${trip}:${moved}`.padEnd(64, String.fromCodePoint(65 + (trip % 26))),
    ).toString('base64')
  }
  return { _sessions: { main: { chains, indexInfo: { closed: -1 } } }, version: 'v1' }
}

/** Made before the clock runs: making them costs as much as storing them. */
const STEPS = Array.from({ length: 64 }, (_, step) => signalRecord(step))
const change = (session: number, step: number): SignalDataSet =>
  ({ session: { [`49151000${session}.0`]: STEPS[step % STEPS.length] } }) as unknown as SignalDataSet

async function inTempDir<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-bench-'))
  try {
    return await work(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** One `set` after the other, and then `writers` that each do so, side by side, as busy chats of one account. */
async function measureSets(keys: SignalKeyStore, alone: number, writers: number, each: number) {
  const waits: number[] = []
  for (let step = 0; step < alone; step++) {
    const startMs = performance.now()
    await keys.set(change(step % 50, step))
    waits.push(performance.now() - startMs)
  }
  const startMs = performance.now()
  const writer = async (chat: number): Promise<void> => {
    for (let step = 0; step < each; step++) await keys.set(change(chat, step))
  }
  await Promise.all(Array.from({ length: writers }, (_, chat) => writer(chat)))
  const perSecond = (each * writers * 1000) / (performance.now() - startMs)
  return { p50: percentile(waits, 0.5), p99: percentile(waits, 0.99), perSecond }
}

/** Opens a state of a new session in these stores. */
async function openState(stores: Stores, dir: string, name: string): Promise<SessionState> {
  const log = createLog({ level: 'silent', pretty: false, service: 'bench', version: '0' })
  const tenant = parseTenantId('bench')
  const id = parseSessionId(name)
  const key = sessionKey(tenant, id)
  const session = await stores.sessions.create({
    tenant,
    id,
    want: { state: 'running', metadata: {} },
    createdAt: 0,
  })
  const clock = systemClock
  const random = systemRandom
  const soon = (task: () => void): void => void setImmediate(task)
  const deps = {
    stores,
    dataKeys: dataKeys({ stores, clock, random }),
    workingCopies: fileWorkingCopies(join(dir, 'work'), log),
    clock,
    random,
    log,
    soon,
  }
  return SessionState.open(deps, session, key, 1)
}

/** A durable, encrypted `set` beside the files that Baileys offers, which are not durable at all; both in one run. */
export async function benchSet(): Promise<readonly Figure[]> {
  const alone = 1_000
  const together = 200
  const each = 100
  const files = await inTempDir(async (dir) => {
    const { state } = await useMultiFileAuthState(dir)
    const figures = await measureSets(state.keys, alone, together, each)
    return { ...figures, files: (await readdir(dir)).length }
  })
  const ours = await inTempDir(async (dir) => {
    const stores = await openEmbeddedStores({
      dataDir: join(dir, 'data'),
      clock: systemClock,
      random: systemRandom,
    })
    const state = await openState(stores, dir, 'set')
    const figures = await measureSets(connectionAuth(state).keys, alone, together, each)
    const before = state.journal.seq
    await connectionAuth(state).keys.set(change(1, 99_999))
    const [entry] = await stores.journal.read(state.key, before + 1)
    await stores.close()
    return { ...figures, bytes: entry?.sealed.length ?? 0 }
  })
  const whole = JSON.stringify(signalRecord(1)).length
  return [
    {
      name: 'set, throughput (200 at once)',
      value: `${ours.perSecond.toFixed(0)}/s, ${(ours.perSecond / files.perSecond).toFixed(1)} × files`,
      goal: '≥ 5 ×',
      note: `useMultiFileAuthState ${files.perSecond.toFixed(0)}/s, not durable, ${files.files} files`,
    },
    {
      name: 'set, one after the other',
      value: `p50 ${ours.p50.toFixed(2)} ms, p99 ${ours.p99.toFixed(2)} ms`,
      goal: '≤ its p50',
      note: `useMultiFileAuthState p50 ${files.p50.toFixed(2)} ms, p99 ${files.p99.toFixed(2)} ms`,
    },
    {
      name: 'bytes of one entry',
      value: `${ours.bytes} B`,
      goal: '–',
      note: `the record alone is ${whole} B; entries hold what changed, sealed`,
    },
  ]
}

/** Rebuilding a state of that size, and writing it as a snapshot. */
export async function benchRehydrate(mebibytes: number): Promise<readonly Figure[]> {
  return inTempDir(async (dir) => {
    const stores = await openEmbeddedStores({
      dataDir: join(dir, 'data'),
      clock: systemClock,
      random: systemRandom,
    })
    try {
      const state = await openState(stores, dir, 'big')
      const keys = connectionAuth(state).keys
      const each = JSON.stringify(signalRecord(1)).length
      const contacts = Math.ceil((mebibytes * 1024 * 1024) / each)
      for (let at = 0; at < contacts; at += 200) {
        const sets = Array.from({ length: Math.min(200, contacts - at) }, (_, more) =>
          Promise.resolve(keys.set(change(at + more, at))),
        )
        await Promise.all(sets)
      }
      const snapshotMs = performance.now()
      const record = await state.snapshot('bench')
      const tookMs = performance.now() - snapshotMs
      const session = await stores.sessions.get(state.key)
      if (!session) throw new Error('the session was made a moment ago')
      const startMs = performance.now()
      const log = createLog({ level: 'silent', pretty: false, service: 'bench', version: '0' })
      const deps = {
        stores,
        dataKeys: dataKeys({ stores, clock: systemClock, random: systemRandom }),
        workingCopies: fileWorkingCopies(join(dir, 'other'), log),
        clock: systemClock,
        random: systemRandom,
        log,
        soon: (task: () => void): void => void setImmediate(task),
      }
      await SessionState.open(deps, session, state.key, 2)
      const rehydrateMs = performance.now() - startMs
      await deps.workingCopies.settle()
      return [
        {
          name: `rehydrate ${mebibytes} MiB of state`,
          value: `${rehydrateMs.toFixed(0)} ms`,
          goal: '–',
          note: `${contacts} records, from an empty disk`,
        },
        {
          name: `snapshot of ${mebibytes} MiB`,
          value: `${tookMs.toFixed(0)} ms, ${(mebibytes / (tookMs / 1000)).toFixed(0)} MiB/s`,
          goal: '–',
          note: `${(record.bytes / 1024 / 1024).toFixed(2)} MiB compressed and sealed`,
        },
      ]
    } finally {
      await stores.close()
    }
  })
}
