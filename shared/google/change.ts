import type { DocumentData, DocumentReference, Timestamp } from '@google-cloud/firestore'
import { CodedError } from '../errors.ts'
import { dataOf, type Database } from './database.ts'
import type { Writes } from './writes.ts'

/** A document as it was seen, and when: what a conditional write needs. */
export interface Seen<T> {
  data: T
  at: Timestamp
}

export interface Change {
  /** The fields to write; all others stay. */
  fields: DocumentData
  /** Further writes of the same atomic group. */
  also?: (writes: Writes) => void
}

/**
 * 20 writers at once made at most about 20 rounds for the unluckiest (docs/facts/google-cloud.md §10: 2,070 conflicts for
 * 500 writes).
 */
const TRIES_MAX = 40
/** From the third try on, waits up to this long: rivals that collided must not collide again in step. */
const SPREAD_MS = 20

/**
 * Read, decide, write unless it changed in between; again if it did. No transaction: those lock out other writers, and
 * were 200 times slower under contention (docs/facts/google-cloud.md §0.6). A lost answer comes back as `changed`, is
 * read again, and `decide` sees its own write there.
 *
 * `decide` gets `undefined` for a missing document and answers `undefined` when there is nothing to write. With `known`
 * the first try goes without a read; whatever else than success it brings is judged again on a fresh read.
 */
export async function change<T extends DocumentData>(
  db: Database,
  what: string,
  ref: DocumentReference,
  decide: (current: T | undefined) => Change | undefined,
  known?: Seen<T>,
): Promise<Seen<T> | undefined> {
  const guess = known && guarded(() => decide(known.data))
  if (guess) {
    const written = await write(db, what, ref, known, guess)
    if (written) return written
  }
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    if (tries > 1) await db.clock.sleep(db.random.next() * SPREAD_MS)
    const snapshot = await db.get(what, ref)
    const data = dataOf<T>(snapshot)
    const wanted = decide(data)
    if (!data || !snapshot.updateTime) return undefined
    const current = { data, at: snapshot.updateTime }
    if (!wanted) return current
    const written = await write(db, what, ref, current, wanted)
    if (written) return written
  }
  throw new CodedError('conflict', `${what}: too many writers at once`)
}

async function write<T extends DocumentData>(
  db: Database,
  what: string,
  ref: DocumentReference,
  seen: Seen<T>,
  wanted: Change,
): Promise<Seen<T> | undefined> {
  const outcome = await db.commit(what, (writes) => {
    writes.update(ref, wanted.fields, seen.at)
    wanted.also?.(writes)
  })
  const at = outcome.done ? outcome.times[0] : undefined
  return at && { data: { ...seen.data, ...wanted.fields }, at }
}

/** What is decided on a guess may be wrong in any way, also by throwing; the fresh read decides again. */
function guarded(decide: () => Change | undefined): Change | undefined {
  try {
    return decide()
  } catch {
    return undefined
  }
}
