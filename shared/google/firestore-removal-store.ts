import { FieldPath, FieldValue } from '@google-cloud/firestore'
import { CodedError } from '../errors.ts'
import { nameOfKey, type SessionKey } from '../ids.ts'
import type { Removal, RemovalStore } from '../store/removal-store.ts'
import { change } from './change.ts'
import { dataOf, type Database } from './database.ts'
import { between, ofTenant } from './document-id.ts'
import { removalDocument, toRemoval, type RemovalDocument } from './removal-document.ts'
import type { Signals } from './signals.ts'

/** A removal is as large as a session. */
const SCAN_PAGE = 300
/** The character after `~`, which no name contains. */
const AFTER_TILDE = '\x7f'

export function firestoreRemovalStore(db: Database, signals: Signals): RemovalStore {
  const collection = db.collection('removals')
  const refOf = (key: SessionKey) => collection.doc(key)

  return {
    async get(key) {
      const stored = dataOf<RemovalDocument>(await db.get('get a removal', refOf(key)))
      return stored && toRemoval(stored)
    },

    async list({ tenant, name, after, limit }) {
      const all =
        name === undefined ? ofTenant(collection, tenant) : between(collection, name, `${name}${AFTER_TILDE}`)
      const items: Removal[] = []
      for (let cursor = after; ;) {
        const rest = cursor === undefined ? all : all.startAfter(cursor)
        const found = await db.query('list removals', rest.limit(limit + 1))
        for (const doc of found.docs) {
          const stored = doc.data() as RemovalDocument
          // Names that only begin like this one are between its lives.
          if (stored.hidden || (name !== undefined && nameOfKey(doc.id as SessionKey) !== name)) continue
          if (items.length === limit) return cursor === undefined ? { items } : { items, next: cursor }
          items.push(toRemoval(stored))
          cursor = doc.id
        }
        if (found.size <= limit) return { items }
        cursor = found.docs.at(-1)?.id
      }
    },

    async *scan() {
      const open = collection.where('open', '==', true).orderBy(FieldPath.documentId())
      for await (const page of db.pages('scan removals', open, SCAN_PAGE)) {
        for (const doc of page.docs) yield toRemoval(doc.data() as RemovalDocument)
      }
    },

    async due(nowMs, limit) {
      const over = collection.where('until', '<=', nowMs).orderBy('until').limit(limit)
      const found = await db.query('find removals that are over', over)
      return found.docs.map((doc) => toRemoval(doc.data() as RemovalDocument))
    },

    async change(key, decide) {
      const seen = await change<RemovalDocument>(db, 'change a removal', refOf(key), (stored) => {
        if (!stored) throw new CodedError('not_found', `no removal of ${key}`)
        const next = decide(toRemoval(stored))
        const gone = { open: FieldValue.delete(), until: FieldValue.delete(), hidden: FieldValue.delete() }
        return (
          next && {
            fields: { ...gone, ...removalDocument(next) },
            also: (writes) => signals.raise(writes, 'removal', key),
          }
        )
      })
      if (!seen) throw new CodedError('not_found', `no removal of ${key}`)
      return toRemoval(seen.data)
    },

    async remove(key) {
      await db.commit('forget a removal', (writes) => {
        writes.delete(refOf(key))
        signals.raise(writes, 'removal', key)
      })
      const name = nameOfKey(key)
      const isFree = !(await db.get('forget a removal', db.collection('sessions').doc(name))).exists
      signals.forget([['removal', key], ['owner', key], ...(isFree ? [['session', name] as const] : [])])
    },

    watch: (changed) => signals.watch('removal', (key) => changed(key as SessionKey)),
  }
}
