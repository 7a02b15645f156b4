import { randomBytes } from 'node:crypto'
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
import { median, percentile, type Figure } from './report.ts'

/**
 * A Signal session of a contact one has talked with for a while (docs/facts/baileys.md §3: 0.9 KB new, about 105 B more a
 * round trip).
 */
const ROUND_TRIPS = 20

interface Signal {
  _sessions: Record<string, { chains: Record<string, string>; indexInfo: { closed: number } }>
  version: string
}

type Records = (step: number) => SignalDataSet

const chain = (): string => randomBytes(64).toString('base64')

/**
 * What libsignal stores for one contact: a record that is rewritten whole although one chain of it changed. Chains are
 * random as keys are, so that nothing but the record before it says anything about the next. Made before the clock runs:
 * making them costs as much as storing them.
 */
function contact(number: number, steps: number): Records {
  const kept = Array.from({ length: ROUND_TRIPS - 1 }, chain)
  const records = Array.from({ length: steps }, (): Signal => {
    const chains = Object.fromEntries([...kept, chain()].map((one, trip) => [`chain-${trip}`, one]))
    return { _sessions: { main: { chains, indexInfo: { closed: -1 } } }, version: 'v1' }
  })
  const id = `49151000${number}.0`
  return (step) => ({ session: { [id]: records[step % steps] } }) as unknown as SignalDataSet
}

const RECORD_BYTES = JSON.stringify(Object.values(contact(0, 1)(0).session ?? {})[0]).length

async function inTempDir<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-bench-'))
  try {
    return await work(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

interface Measured {
  p50: number
  p99: number
  perSecond: number
}

/** One `set` after the other, and then as many writers as there are contacts, side by side, as busy chats of one account. */
async function measureSets(
  keys: SignalKeyStore,
  contacts: readonly Records[],
  alone: number,
  each: number,
): Promise<Measured> {
  const waits: number[] = []
  const few = contacts.slice(0, 50)
  for (let step = 0; step < alone; step++) {
    const change = few[step % few.length]?.(step) ?? {}
    const startMs = performance.now()
    await keys.set(change)
    waits.push(performance.now() - startMs)
  }
  const startMs = performance.now()
  const writer = async (records: Records): Promise<void> => {
    for (let step = 0; step < each; step++) await keys.set(records(step))
  }
  await Promise.all(contacts.map(writer))
  const perSecond = (each * contacts.length * 1000) / (performance.now() - startMs)
  return { p50: percentile(waits, 0.5), p99: percentile(waits, 0.99), perSecond }
}

/** Opens a state of a new session in these stores. `settle` waits for its disk, which is written behind. */
async function openState(
  stores: Stores,
  dir: string,
  name: string,
): Promise<{ state: SessionState; settle: () => Promise<void> }> {
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
  const workingCopies = fileWorkingCopies(join(dir, 'work'), log)
  const deps = {
    stores,
    dataKeys: dataKeys({ stores, clock, random }),
    workingCopies,
    clock,
    random,
    log,
    soon,
  }
  return {
    state: await SessionState.open(deps, session, key, { epoch: 1 }),
    settle: () => workingCopies.settle(),
  }
}

async function measureFiles(contacts: readonly Records[]): Promise<Measured & { files: number }> {
  return inTempDir(async (dir) => {
    const { state } = await useMultiFileAuthState(dir)
    const figures = await measureSets(state.keys, contacts, ALONE, EACH)
    return { ...figures, files: (await readdir(dir)).length }
  })
}

async function measureOurs(contacts: readonly Records[]): Promise<Measured & { bytes: number }> {
  return inTempDir(async (dir) => {
    const stores = await openEmbeddedStores({
      dataDir: join(dir, 'data'),
      clock: systemClock,
      random: systemRandom,
    })
    const { state, settle } = await openState(stores, dir, 'set')
    const { keys } = connectionAuth(state)
    const figures = await measureSets(keys, contacts, ALONE, EACH)
    const before = state.journal.seq
    await keys.set(contacts[0]?.(EACH) ?? {})
    const [entry] = await stores.journal.read(state.key, before + 1)
    await stores.close()
    await settle()
    return { ...figures, bytes: entry?.sealed.length ?? 0 }
  })
}

const ALONE = 1_000
const TOGETHER = 200
const EACH = 100
const ROUNDS = 7

/**
 * A durable, encrypted `set` beside the files that Baileys offers, which are not durable at all. Both take turns, after one
 * round that only warms up, and the median of the rounds' ratios counts: what else the machine does meanwhile comes and goes.
 */
export async function benchSet(): Promise<readonly Figure[]> {
  const contacts = Array.from({ length: TOGETHER }, (_, number) => contact(number, 64))
  const rounds: { files: Measured & { files: number }; ours: Measured & { bytes: number } }[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const files = await measureFiles(contacts)
    const ours = await measureOurs(contacts)
    if (round > 0) rounds.push({ files, ours })
  }
  const ofAll = (value: (round: (typeof rounds)[number]) => number): number => median(rounds.map(value))
  const spread = (value: (round: (typeof rounds)[number]) => number): string => {
    const values = rounds.map(value)
    return `${Math.min(...values).toFixed(1)}–${Math.max(...values).toFixed(1)}`
  }
  const faster = (round: (typeof rounds)[number]): number => round.ours.perSecond / round.files.perSecond
  const slower = (round: (typeof rounds)[number]): number => round.ours.p50 / round.files.p50
  const ms = (value: number): string => value.toFixed(2)
  return [
    {
      name: `set, throughput (${TOGETHER} at once)`,
      value: `${ofAll(faster).toFixed(1)} × files, ${ofAll(({ ours }) => ours.perSecond).toFixed(0)}/s`,
      goal: '≥ 5 ×',
      note: `median of ${ROUNDS} rounds (${spread(faster)} ×); useMultiFileAuthState ${ofAll(({ files }) => files.perSecond).toFixed(0)}/s, not durable, ${rounds[0]?.files.files} files`,
    },
    {
      name: 'set, one after the other',
      value: `p50 ${ofAll(slower).toFixed(2)} × files, ${ms(ofAll(({ ours }) => ours.p50))} ms, p99 ${ms(ofAll(({ ours }) => ours.p99))} ms`,
      goal: '≤ 1 × its p50',
      note: `median of ${ROUNDS} rounds (${spread(slower)} ×); useMultiFileAuthState p50 ${ms(ofAll(({ files }) => files.p50))} ms, p99 ${ms(ofAll(({ files }) => files.p99))} ms`,
    },
    {
      name: 'bytes of one entry',
      value: `${rounds[0]?.ours.bytes} B`,
      goal: '–',
      note: `the record alone is ${RECORD_BYTES} B; entries hold what changed, sealed`,
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
      const { state, settle } = await openState(stores, dir, 'big')
      const keys = connectionAuth(state).keys
      const contacts = Math.ceil((mebibytes * 1024 * 1024) / RECORD_BYTES)
      for (let at = 0; at < contacts; at += 200) {
        const sets = Array.from({ length: Math.min(200, contacts - at) }, (_, more) =>
          Promise.resolve(keys.set(contact(at + more, 1)(0))),
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
      await SessionState.open(deps, session, state.key, { epoch: 2 })
      const rehydrateMs = performance.now() - startMs
      await deps.workingCopies.settle()
      await settle()
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
