import { FieldValue, type Timestamp } from '@google-cloud/firestore'
import { LRUCache } from 'lru-cache'
import { CodedError, hasCode } from '../errors.ts'
import type { SessionKey } from '../ids.ts'
import { badCursor } from '../store/cursor.ts'
import type { FeedItem, FeedStore } from '../store/feed-store.ts'
import { mustAllBeStorable, RefusedItems, storedBytes } from '../store/storable.ts'
import { dataOf, type Database } from './database.ts'
import { documentId, sha256, shardOf, spread } from './document-id.ts'
import { sweep } from './sweeper.ts'

/**
 * `feed/{hash}~{key}~{hash of from and id}` {key, shard, cursor, addedAt, item} and `feedHeads/{hash}~{key}` {key, cursor, expireAt?}.
 *
 * A reader that stands at a cursor must never miss an item that comes in below it. So every group of items carries a
 * write of the session's head, conditional on the head as it was read: groups of one session come one after the other,
 * whoever writes them, and each gets cursors above all before it. A process that was the owner before, or still believes
 * it is, finds the head changed and reads it again. An item is made by `create()`: what is there keeps its cursor.
 */
interface FeedDocument {
  key: SessionKey
  shard: number
  cursor: number
  addedAt: number
  item: FeedItem
}

interface Head {
  cursor: number
  /** Absent while there is no document. */
  at?: Timestamp | undefined
}

/** An item and its place in the call. */
interface Placed {
  item: FeedItem
  index: number
}

const GROUP_MAX = 40
/** WhatsApp's own texts are at most 64 KiB, a stranger's need not be; the emulator drops a commit over 4 MiB (docs/facts/google-cloud.md §10). */
const GROUP_BYTES_MAX = 3 << 20
const TRIES_MAX = 20
const HEADS_MAX = 5000
/** Cursors begin at the time in these steps. */
const CURSORS_PER_MS = 1000
/** As text they must sort as they count; the number stays exact until the year 2255. */
const CURSOR_DIGITS = 16
const toText = (cursor: number): string => String(cursor).padStart(CURSOR_DIGITS, '0')

/** @throws CodedError `invalid_field` for what none of our pages gave */
function fromText(after: string): number {
  if (!/^\d{16}$/.test(after)) throw badCursor()
  return Number(after)
}

export function firestoreFeedStore(db: Database): FeedStore {
  const collection = db.collection('feed')
  const headRef = (key: SessionKey) => db.collection('feedHeads').doc(spread(key))
  const itemRef = (key: SessionKey, { from, id }: FeedItem) =>
    collection.doc(documentId(key, sha256(JSON.stringify([from, id])).slice(0, 32)))
  const heads = new LRUCache<SessionKey, Head>({ max: HEADS_MAX })

  async function readHead(key: SessionKey): Promise<Head> {
    const snapshot = await db.get('read the head of a feed', headRef(key))
    return { cursor: dataOf<{ cursor: number }>(snapshot)?.cursor ?? 0, at: snapshot.updateTime }
  }

  async function addGroup(key: SessionKey, items: readonly FeedItem[], nowMs: number): Promise<boolean> {
    const head = heads.get(key) ?? (await readHead(key))
    const first = Math.max(head.cursor + 1, Math.floor(nowMs) * CURSORS_PER_MS)
    const cursor = first + items.length - 1
    const outcome = await db.commit('add to a feed', (writes) => {
      if (head.at) writes.update(headRef(key), { cursor, expireAt: FieldValue.delete() }, head.at)
      else writes.create(headRef(key), { key, cursor })
      for (const [index, item] of items.entries()) {
        const stored: FeedDocument = { key, shard: shardOf(key), cursor: first + index, addedAt: nowMs, item }
        writes.create(itemRef(key, item), stored)
      }
    })
    if (outcome.done) heads.set(key, { cursor, at: outcome.times[0] })
    else heads.delete(key)
    return outcome.done
  }

  async function missing(key: SessionKey, items: readonly FeedItem[]): Promise<FeedItem[]> {
    const refs = items.map((item) => itemRef(key, item))
    const snapshots = await db.getAll('read back a feed', refs)
    const there = new Set(snapshots.filter(({ exists }) => exists).map(({ ref }) => ref.id))
    return items.filter((item) => !there.has(itemRef(key, item).id))
  }

  /** The head outlives the items, for a reader who stands at the last one's cursor, but not the session. */
  async function behead(key: SessionKey): Promise<void> {
    heads.delete(key)
    await db.commit('sweep a feed', (writes) => writes.delete(headRef(key)))
  }

  async function addUntilThere(key: SessionKey, items: readonly FeedItem[], nowMs: number): Promise<void> {
    let group = items
    for (let tries = 0; group.length > 0; tries++) {
      if (tries === TRIES_MAX) throw new CodedError('conflict', `feed of ${key}: too many writers at once`)
      if (await addGroup(key, group, nowMs)) return
      // The head moved, or some are there already, perhaps by this very write whose answer was lost.
      group = await missing(key, group)
    }
  }

  /** Firestore refuses a group as a whole; one after the other, the one that it means is found. */
  async function addOneByOne(key: SessionKey, items: readonly Placed[], nowMs: number): Promise<void> {
    for (const { item, index } of items) {
      try {
        await addUntilThere(key, [item], nowMs)
      } catch (error) {
        if (!hasCode(error, 'store_refused')) throw error
        throw new RefusedItems(error.message, [index], error)
      }
    }
  }

  return {
    async add(key, items, nowMs) {
      mustAllBeStorable('add to a feed', items)
      const seen = new Set<string>()
      const placed = items.map((item, index): Placed => ({ item, index }))
      const once = placed.filter(({ item }) => {
        const { id } = itemRef(key, item)
        return !seen.has(id) && seen.add(id)
      })
      for (const group of groupsOf(once)) {
        try {
          await addUntilThere(
            key,
            group.map(({ item }) => item),
            nowMs,
          )
        } catch (error) {
          if (!hasCode(error, 'store_refused')) throw error
          await addOneByOne(key, group, nowMs)
        }
      }
    },

    async list(key, { after, limit }) {
      const all = collection.where('key', '==', key).orderBy('cursor')
      const rest = all.startAfter(after === undefined ? 0 : fromText(after))
      const found = await db.query('list a feed', rest.limit(limit))
      const items = found.docs.map((doc) => {
        const { item, cursor } = doc.data() as FeedDocument
        return { ...item, cursor: toText(cursor) }
      })
      const next = items.at(-1)?.cursor ?? after
      return next === undefined ? { items } : { items, next }
    },

    async sweep(ask) {
      const removed = await sweep(db, 'sweep a feed', collection, 'addedAt', ask)
      if (ask.key !== undefined) await behead(ask.key)
      return removed
    },
  }
}

/** In order, each with at least one item and within both bounds. */
function groupsOf(items: readonly Placed[]): Placed[][] {
  const groups: Placed[][] = []
  let bytes = 0
  for (const placed of items) {
    const size = storedBytes(placed.item)
    const last = groups.at(-1)
    if (last && last.length < GROUP_MAX && bytes + size <= GROUP_BYTES_MAX) {
      last.push(placed)
      bytes += size
    } else {
      groups.push([placed])
      bytes = size
    }
  }
  return groups
}
