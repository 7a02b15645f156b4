import { FieldPath, FieldValue } from '@google-cloud/firestore'
import { CodedError } from '../errors.ts'
import type { SessionKey } from '../ids.ts'
import type { Owner } from '../session.ts'
import type { OwnerStore } from '../store/owner-store.ts'
import { change } from './change.ts'
import { dataOf, type Database } from './database.ts'
import { spread } from './document-id.ts'
import type { Signals } from './signals.ts'

/** `owners/{hash}~{key}`: the owner and the session's key. A mass takeover writes them all at once, so names spread. */
interface OwnerDocument extends Owner {
  key: SessionKey
}

/** 100 bytes each. */
const SCAN_PAGE = 1000

export function firestoreOwnerStore(db: Database, signals: Signals): OwnerStore {
  const collection = db.collection('owners')
  const refOf = (key: SessionKey) => collection.doc(spread(key))
  const plain = ({ runnerId, epoch, since, nonce }: OwnerDocument): Owner => ({
    ...(runnerId !== undefined && { runnerId }),
    epoch,
    since,
    nonce,
  })

  return {
    async get(key) {
      const stored = dataOf<OwnerDocument>(await db.get('get an owner', refOf(key)))
      return stored && plain(stored)
    },

    async *scan() {
      const all = collection.orderBy(FieldPath.documentId())
      for await (const page of db.pages('scan owners', all, SCAN_PAGE)) {
        for (const doc of page.docs) {
          const stored = doc.data() as OwnerDocument
          yield [stored.key, plain(stored)] as const
        }
      }
    },

    async claim({ key, runnerId, expectEpoch, nonce, nowMs }) {
      const ours: Owner = { runnerId, epoch: expectEpoch + 1, since: nowMs, nonce }
      const mark = (writes: Parameters<Signals['mark']>[0]) => signals.mark(writes, 'owner', key)
      if (expectEpoch === 0) {
        const outcome = await db.commit('claim a session', (writes) => {
          writes.create(refOf(key), { key, ...ours })
          mark(writes)
        })
        if (outcome.done) return ours
      }
      const seen = await change<OwnerDocument>(db, 'claim a session', refOf(key), (stored) => {
        if (stored?.nonce === nonce && stored.runnerId === runnerId && stored.epoch === ours.epoch) {
          return undefined
        }
        if (!stored || stored.epoch !== expectEpoch) {
          throw new CodedError('owner_changed', `${key} has epoch ${stored?.epoch ?? 0}, not ${expectEpoch}`)
        }
        return { fields: { ...ours }, also: mark }
      })
      if (!seen) throw new CodedError('owner_changed', `${key} has no owner record`)
      return plain(seen.data)
    },

    async release({ key, runnerId, epoch, nonce, nowMs }) {
      await change<OwnerDocument>(db, 'release a session', refOf(key), (stored) => {
        // Nothing is left to release when the session was deleted.
        if (!stored) return undefined
        if (stored.epoch !== epoch || (stored.runnerId !== undefined && stored.runnerId !== runnerId)) {
          throw new CodedError('fenced', `${key} is owned by ${stored.runnerId ?? 'nobody'} of another epoch`)
        }
        if (stored.runnerId === undefined) return undefined
        return {
          fields: { runnerId: FieldValue.delete(), since: nowMs, nonce },
          also: (writes) => signals.mark(writes, 'owner', key),
        }
      })
    },

    async remove(key) {
      await db.commit('remove an owner record', (writes) => {
        writes.delete(refOf(key))
        signals.mark(writes, 'owner', key)
      })
    },

    watch: (changed) => signals.watch('owner', (name) => changed(name as SessionKey)),
  }
}
