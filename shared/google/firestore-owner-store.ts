import { FieldPath, FieldValue, type DocumentSnapshot } from '@google-cloud/firestore'
import { LRUCache } from 'lru-cache'
import { CodedError } from '../errors.ts'
import type { SessionKey } from '../ids.ts'
import type { Owner, Witness } from '../session.ts'
import type { OwnerStore } from '../store/owner-store.ts'
import { change, type Seen } from './change.ts'
import { dataOf, type Database } from './database.ts'
import { spread } from './document-id.ts'
import type { Signals } from './signals.ts'
import type { Writes } from './writes.ts'

/** `owners/{hash}~{key}`: the owner and the session's key. A mass takeover writes them all at once, so names spread. */
interface OwnerDocument extends Owner {
  key: SessionKey
}

/** 100 bytes each. */
const SCAN_PAGE = 1000
/** Only to save a read: a claim mostly follows a look at the owner, and a release the claim. 200 bytes each. */
const KNOWN_MAX = 10_000

export function firestoreOwnerStore(db: Database, signals: Signals): OwnerStore {
  const collection = db.collection('owners')
  const refOf = (key: SessionKey) => collection.doc(spread(key))
  /** Owners as this process last saw or wrote them. */
  const known = new LRUCache<SessionKey, Seen<OwnerDocument>>({ max: KNOWN_MAX })
  const note = (key: SessionKey, doc: DocumentSnapshot): OwnerDocument | undefined => {
    const data = dataOf<OwnerDocument>(doc)
    if (data && doc.updateTime) known.set(key, { data, at: doc.updateTime })
    else known.delete(key)
    return data
  }
  const plain = ({ runnerId, epoch, since, nonce, witness }: OwnerDocument): Owner => ({
    ...(runnerId !== undefined && { runnerId }),
    epoch,
    since,
    nonce,
    ...(witness && { witness }),
  })

  return {
    async get(key) {
      const stored = note(key, await db.get('get an owner', refOf(key)))
      return stored && plain(stored)
    },

    async getAll(keys) {
      const docs = await db.getAll('get owners', keys.map(refOf))
      return keys.map((key, index) => {
        const doc = docs[index]
        const stored = doc && note(key, doc)
        return stored && plain(stored)
      })
    },

    async *scan() {
      const all = collection.orderBy(FieldPath.documentId())
      for await (const page of db.pages('scan owners', all, SCAN_PAGE)) {
        for (const doc of page.docs) {
          const { key } = doc.data() as OwnerDocument
          const stored = note(key, doc)
          if (stored) yield [key, plain(stored)] as const
        }
      }
    },

    async claim({ key, runnerId, expectEpoch, nonce, nowMs }) {
      const ours: Owner = { runnerId, epoch: expectEpoch + 1, since: nowMs, nonce }
      const signal = (writes: Writes, witness?: Witness) =>
        signals.raise(writes, 'owner', key, { ...ours, ...(witness && { witness }) })
      if (expectEpoch === 0) {
        const outcome = await db.commit('claim a session', (writes) => {
          writes.create(refOf(key), { key, ...ours })
          signal(writes)
        })
        const [at] = outcome.done ? outcome.times : []
        if (at) known.set(key, { data: { key, ...ours }, at })
        if (outcome.done) return ours
      }
      const decide = (stored: OwnerDocument | undefined) => {
        if (stored?.nonce === nonce && stored.runnerId === runnerId && stored.epoch === ours.epoch) {
          return undefined
        }
        if (!stored || stored.epoch !== expectEpoch) {
          throw new CodedError('owner_changed', `${key} has epoch ${stored?.epoch ?? 0}, not ${expectEpoch}`)
        }
        const { witness } = stored
        return { fields: { ...ours }, also: (writes: Writes) => signal(writes, witness) }
      }
      const seen = await change(db, 'claim a session', refOf(key), decide, known.get(key))
      if (!seen) throw new CodedError('owner_changed', `${key} has no owner record`)
      known.set(key, seen)
      return plain(seen.data)
    },

    async release({ key, runnerId, epoch, nonce, nowMs, witness }) {
      const decide = (stored: OwnerDocument | undefined) => {
        // Nothing is left to release when the session was deleted.
        if (!stored) return undefined
        if (stored.epoch !== epoch || (stored.runnerId !== undefined && stored.runnerId !== runnerId)) {
          throw new CodedError('fenced', `${key} is owned by ${stored.runnerId ?? 'nobody'} of another epoch`)
        }
        if (stored.runnerId === undefined) return undefined
        const noted = witness ?? stored.witness
        const left = { since: nowMs, nonce, ...(noted && { witness: noted }) }
        return {
          fields: { runnerId: FieldValue.delete(), ...left },
          also: (writes: Writes) => signals.raise(writes, 'owner', key, { epoch, ...left }),
        }
      }
      await change(db, 'release a session', refOf(key), decide, known.get(key))
      known.delete(key)
    },

    async remove(key) {
      known.delete(key)
      await db.commit('remove an owner record', (writes) => {
        writes.delete(refOf(key))
        signals.raise(writes, 'owner', key)
      })
    },

    watch: (changed) =>
      signals.watch('owner', (name, told) => {
        const key = name as SessionKey
        if (!told) return changed(key)
        const owner = told.data as Owner
        known.set(key, { data: { key, ...owner }, at: told.at })
        changed(key, owner)
      }),
  }
}
