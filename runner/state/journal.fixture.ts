import { expect } from 'vitest'
import { seededRandom } from '#shared/random.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { SessionJournal, type JournalDeps } from './journal.ts'
import { openEntry } from './sealed-entry.ts'
import { RecordMap } from './record-map.ts'
import { bytes, contentOf, KEY, KEY_A, ringOf, scriptedJournal, turn } from './testing.ts'

/** For the tests of a journal: one over a scripted store, and what it left there. */

export const ring = ringOf(KEY_A)

export function begin(more: Partial<JournalDeps> = {}) {
  const journal = scriptedJournal()
  const clock = fakeClock()
  const records = new RecordMap()
  const broken: Error[] = []
  const appended: number[] = []
  const live: { creds: string | undefined } = { creds: undefined }
  const deps: JournalDeps = {
    key: KEY,
    epoch: 3,
    headSeq: 0,
    headMac: undefined,
    records,
    store: journal.store,
    ring: () => ring,
    clock,
    random: seededRandom(1),
    creds: () => (live.creds === undefined ? undefined : ['creds/', bytes(live.creds)]),
    appended: ({ seq }) => appended.push(seq),
    broken: (error) => broken.push(error),
    soon: (task) => setImmediate(task),
    appendWithinMs: 60_000,
    ...more,
  }
  return { ...journal, clock, records, broken, appended, live, journal: new SessionJournal(deps), deps }
}

type Bench = ReturnType<typeof begin>

/** The state that the stored entries make, and what each of them changed. */
export function replayed({ stored }: Pick<Bench, 'stored'>) {
  const records = new RecordMap()
  const entries = [...stored.values()].toSorted((a, b) => a.seq - b.seq)
  const changed = entries.map((entry) => {
    const body = openEntry(KEY, entry, ring, records)
    if (body.kind === 'reset') records.clear()
    for (const [name, value] of body.changes) records.set(name, value)
    return body.kind === 'change' ? body.changes.map(([name]) => name).join(' ') : body.kind
  })
  return { content: contentOf(records), changed }
}

/** Whether a promise is settled by now, without waiting for it. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const not = Symbol('not yet')
  return (await Promise.race([promise.catch(() => undefined), turn().then(() => not)])) !== not
}

export const set = ({ journal }: Pick<Bench, 'journal'>, name: string, value: string | null = name) =>
  journal.set([[name, value === null ? null : bytes(value)]])

export const code = (name: string) => expect.objectContaining({ code: name })
