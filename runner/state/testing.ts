import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { systemClock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import type { OpenKey } from '#shared/envelope.ts'
import { CodedError, type ErrorCode } from '#shared/errors.ts'
import { sessionKey, type SessionId, type SessionKey, type TenantId } from '#shared/ids.ts'
import { seededRandom, systemRandom } from '#shared/random.ts'
import type { Session } from '#shared/session.ts'
import type { JournalEntry, JournalStore } from '#shared/store/journal-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { dataKeys, type KeyRing } from './data-keys.ts'
import { encodeValue } from './record.ts'
import type { RecordMap } from './record-map.ts'
import { SessionState, type StateDeps } from './session-state.ts'
import { fileWorkingCopies, type WorkingCopies } from './working-copy.ts'

/** For the tests of this folder, and for those that need a state to open a socket on. */

export const KEY: SessionKey = sessionKey('acme' as TenantId, 's_1' as SessionId)
export const OTHER_KEY: SessionKey = sessionKey('acme' as TenantId, 's_2' as SessionId)
export const silent = pino({ level: 'silent' })
export const bytes = (text: string): Buffer => Buffer.from(text, 'utf8')
/** The end of this turn of the event loop: whatever was scheduled for it has begun by then. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export const KEY_A: OpenKey = { id: 'aaaaaaaa', bytes: new Uint8Array(32).fill(1) }
export const KEY_B: OpenKey = { id: 'bbbbbbbb', bytes: new Uint8Array(32).fill(2) }
export const ringOf = (...keys: readonly [OpenKey, ...OpenKey[]]): KeyRing => ({
  current: keys.at(-1) ?? keys[0],
  find: (id) => keys.find((key) => key.id === id),
  ids: keys.map((key) => key.id),
})

/** The records as a plain object of texts, for comparing. */
export const contentOf = (records: RecordMap): Record<string, string> =>
  Object.fromEntries(
    [...records.entries()].map(([key, value]) => [key, Buffer.from(value).toString('latin1')]),
  )

/** A journal in memory whose appends wait, fail or lose their answers when a test says so. */
export function scriptedJournal() {
  const stored = new Map<number, JournalEntry>()
  const script: ((write: () => void) => Promise<void> | void)[] = []
  const appends: number[] = []
  const store: JournalStore = {
    async append(_, entry) {
      appends.push(entry.seq)
      const write = (): void => {
        if (stored.has(entry.seq)) throw new CodedError('seq_taken', 'append')
        stored.set(entry.seq, entry)
      }
      await (script.shift() ?? ((now) => now()))(write)
    },
    read: async (_, fromSeq) =>
      [...stored.values()].filter(({ seq }) => seq >= fromSeq).toSorted((a, b) => a.seq - b.seq),
    head: async () => [...stored.values()].toSorted((a, b) => b.seq - a.seq)[0],
    truncate: async (_, throughSeq) => {
      for (const seq of stored.keys()) if (seq <= throughSeq) stored.delete(seq)
    },
  }
  const fails = (code: ErrorCode) => () => Promise.reject(new CodedError(code, 'scripted'))
  return {
    store,
    stored,
    /** The seqs that were tried, in order. */
    appends,
    failNext: (code: ErrorCode, times = 1) => {
      for (let n = 0; n < times; n++) script.push(fails(code))
    },
    /** The next append is written, but its answer gets lost. */
    loseNext: () =>
      script.push((write) => {
        write()
        return fails('store_unavailable')()
      }),
    /** The next append waits until the answer is called. */
    holdNext(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>()
      script.push(async (write) => {
        await promise
        write()
      })
      return resolve
    },
  }
}

/** Embedded stores, a session and a working directory, all in a folder that goes with the test. */
export async function openWorld() {
  const folder = await mkdtemp(join(tmpdir(), 'mooring-state-'))
  const stores = await openEmbeddedStores({
    dataDir: join(folder, 'data'),
    clock: systemClock,
    random: systemRandom,
  })
  await stores.sessions.create({
    tenant: 'acme' as TenantId,
    id: 's_1' as SessionId,
    want: { state: 'running', metadata: {} },
    createdAt: 1_790_000_000_000,
  })
  const random = seededRandom(7)
  const clock = { ...systemClock }
  const copiesDir = join(folder, 'work')
  const copies: WorkingCopies[] = []
  const deps = (more: { stores?: Stores; copiesDir?: string } = {}): StateDeps => {
    const used = more.stores ?? stores
    const workingCopies = fileWorkingCopies(more.copiesDir ?? copiesDir, silent)
    copies.push(workingCopies)
    return {
      stores: used,
      dataKeys: dataKeys({ stores: used, clock, random }),
      workingCopies,
      clock,
      random,
      log: silent,
      soon: (task) => setImmediate(task),
    }
  }
  const session = async (): Promise<Session> => {
    const found = await stores.sessions.get(KEY)
    if (!found) throw new Error('the session is gone')
    return found
  }
  return {
    folder,
    copiesDir,
    stores,
    clock,
    random,
    deps,
    session,
    /** A new start: the state as this epoch finds it. Without a working copy unless `deps` are given. */
    open: async (epoch: number, given: StateDeps = deps({ copiesDir: join(folder, `none-${epoch}`) })) =>
      SessionState.open(given, await session(), KEY, { epoch }),
    ring: async () => dataKeys({ stores, clock, random }).ring(KEY, await session()),
    async [Symbol.asyncDispose]() {
      for (const one of copies) await one.settle()
      await stores.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export type World = Awaited<ReturnType<typeof openWorld>>

/** Durable changes, one entry each. */
export async function write(state: SessionState, changes: Record<string, string | null>): Promise<void> {
  for (const [key, value] of Object.entries(changes))
    await state.journal.set([[key, value === null ? null : bytes(value)]])
}

/** Credentials of a linked device, as far as the state looks at them. */
export const credsRecord = (more: Record<string, unknown> = {}): Buffer =>
  Buffer.from(
    encodeValue({
      me: { id: '491701234567:5@s.whatsapp.net', lid: '9001:5@lid' },
      account: { accountSignature: Buffer.alloc(64, 1).toString('base64') },
      nextPreKeyId: 31,
      firstUnuploadedPreKeyId: 31,
      ...more,
    }),
  )
