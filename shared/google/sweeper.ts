import type { CollectionReference, DocumentReference, Query } from '@google-cloud/firestore'
import type { SessionKey } from '../ids.ts'
import type { Database } from './database.ts'
import { ofSession, SHARDS } from './document-id.ts'

/** 400 deletes are far below every limit and take about 12 ms (docs/facts/google-cloud.md §10). */
const BATCH = 400

/** Deletes documents, in atomic groups of bounded size. */
async function removeAll(db: Database, what: string, refs: readonly DocumentReference[]): Promise<void> {
  for (let at = 0; at < refs.length; at += BATCH) {
    await db.commit(what, (writes) => {
      for (const ref of refs.slice(at, at + BATCH)) writes.delete(ref)
    })
  }
}

/** Deletes what a query finds, page after page. Answers how many. */
export async function removeFound(db: Database, what: string, query: Query): Promise<number> {
  let removed = 0
  for (;;) {
    const page = await db.query(what, query.select().limit(BATCH))
    await removeAll(
      db,
      what,
      page.docs.map((found) => found.ref),
    )
    removed += page.size
    if (page.size < BATCH) return removed
  }
}

/** `sweep` of the ports: all of a session, or what is older by `field` (milliseconds), shard after shard. */
export async function sweep(
  db: Database,
  what: string,
  collection: CollectionReference,
  field: string,
  ask: { key?: SessionKey; olderThanMs?: number },
): Promise<number> {
  if (ask.key !== undefined) return removeFound(db, what, ofSession(collection, ask.key))
  if (ask.olderThanMs === undefined) return 0
  let removed = 0
  for (let shard = 0; shard < SHARDS; shard++) {
    const old = collection.where('shard', '==', shard).where(field, '<', ask.olderThanMs)
    removed += await removeFound(db, what, old)
  }
  return removed
}
