import { join } from 'node:path'
import { systemClock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { openGoogleStores } from '#shared/google/open.ts'
import {
  sessionKey,
  sessionName,
  type SessionId,
  type SessionKey,
  type SessionName,
  type TenantId,
} from '#shared/ids.ts'
import { systemRandom } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import { freshOptions, skipReason, startCloud, type Cloud } from '../cloud/google-subject.ts'
import { withTempDir } from './processes.ts'
import { percentile, type Figure } from './report.ts'

/** A text's ratchet step with its plaintext, sealed: what the journal of a busy session holds most of. */
const ENTRY_BYTES = 1_500
const ONE_BY_ONE = 300
/** Sessions that append at once, each waiting for its own entry as the journal does, and entries of each. */
const SESSIONS = 50
const ENTRIES = 20
const WATCHES = 60
const WARM_UP = 50

interface Measured {
  append: readonly number[]
  perSecond: number
  watch: readonly number[]
}

/** Both sets of stores on the same work in one run: how long until an entry is durable, and until a change is heard of. */
export async function benchStores(): Promise<readonly Figure[]> {
  return withTempDir(async (dir) => {
    const dataDir = join(dir, 'data')
    const embedded = await measure(() =>
      openEmbeddedStores({ dataDir, clock: systemClock, random: systemRandom }),
    )
    if (skipReason !== undefined) return figures(embedded, undefined)
    const cloud: Cloud = await startCloud()
    try {
      const options = freshOptions(cloud)
      return figures(embedded, await measure(() => openGoogleStores(options)))
    } finally {
      await cloud.close()
    }
  })
}

async function measure(open: () => Promise<Stores>): Promise<Measured> {
  const stores = await open()
  const other = await open()
  try {
    await append(stores, 'warm-up', WARM_UP)
    const times = await append(stores, 'alone', ONE_BY_ONE)
    const startMs = performance.now()
    await Promise.all(Array.from({ length: SESSIONS }, (_, index) => append(stores, `s${index}`, ENTRIES)))
    const perSecond = (SESSIONS * ENTRIES * 1000) / (performance.now() - startMs)
    return { append: times, perSecond, watch: await watchLatency(stores, other) }
  } finally {
    await Promise.all([stores.close(), other.close()])
  }
}

const keyOf = (name: string): SessionKey => sessionKey('bench' as TenantId, name as SessionId)

/** Milliseconds until each entry of a session was durable. */
async function append(stores: Stores, session: string, entries: number): Promise<number[]> {
  const sealed = new Uint8Array(ENTRY_BYTES).fill(7)
  const times: number[] = []
  for (let seq = 1; seq <= entries; seq++) {
    const startMs = performance.now()
    await stores.journal.append(keyOf(session), {
      seq,
      epoch: 1,
      nonce: systemRandom.id(),
      sealed,
    })
    times.push(performance.now() - startMs)
  }
  return times
}

/** From the call of a change in one process's stores to another's hearing of it; the change itself included. */
async function watchLatency(stores: Stores, other: Stores): Promise<number[]> {
  const tenant = 'bench' as TenantId
  const heard = new Map<SessionName, () => void>()
  const watch = other.sessions.watch((name) => heard.get(name)?.())
  // A watch alone keeps no process alive.
  const awake = setInterval(() => undefined, 1_000)
  const times: number[] = []
  for (let index = 0; index < WATCHES + WARM_UP; index++) {
    const id = `w${index}` as SessionId
    const told = new Promise<void>((resolve) => heard.set(sessionName(tenant, id), resolve))
    const startMs = performance.now()
    await stores.sessions.create({
      tenant,
      id,
      want: { state: 'running', metadata: {} },
      createdAt: systemClock.nowMs(),
    })
    await told
    if (index >= WARM_UP) times.push(performance.now() - startMs)
  }
  clearInterval(awake)
  await watch.close()
  return times
}

function figures(embedded: Measured, google: Measured | undefined): readonly Figure[] {
  const both = (of: (measured: Measured) => string): string =>
    `${of(embedded)} | ${google ? of(google) : 'skipped'}`
  const spread = (times: readonly number[]): string =>
    `p50 ${percentile(times, 0.5).toFixed(2)} ms, p99 ${percentile(times, 0.99).toFixed(2)} ms`
  return [
    {
      name: 'append, one after the other: embedded | google (emulator)',
      value: both(({ append }) => spread(append)),
      goal: '–',
      note: `durable when measured; ${ONE_BY_ONE} entries of ${ENTRY_BYTES} B`,
    },
    {
      name: `append, ${SESSIONS} sessions at once: embedded | google (emulator)`,
      value: both(({ perSecond }) => `${perSecond.toFixed(0)}/s`),
      goal: '–',
      note: `${ENTRIES} entries each; the emulator is one JVM on the same two cores`,
    },
    {
      name: 'change → another process hears of it: embedded | google (emulator)',
      value: both(({ watch }) => spread(watch)),
      goal: '–',
      note: `a session created, the write included; ×${WATCHES}`,
    },
  ]
}
