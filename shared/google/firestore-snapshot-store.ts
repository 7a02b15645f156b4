import type { SessionKey } from '../ids.ts'
import type { SnapshotRecord, SnapshotStore } from '../store/snapshot-store.ts'
import type { Database } from './database.ts'
import { safe, spread } from './document-id.ts'

/** `sessionData/{hash}~{key}/snapshots/{id}`: the record as the port has it. A session has few, so they are sorted here. */
export function firestoreSnapshotStore(db: Database): SnapshotStore {
  const recordsOf = (key: SessionKey) => db.collection(`sessionData/${spread(key)}/snapshots`)
  const refOf = (key: SessionKey, id: string) => recordsOf(key).doc(safe(id))

  return {
    async record(key, snapshot) {
      // Refused only when it is there already; the id carries a nonce, so that is one's own.
      await db.commit('record a snapshot', (writes) =>
        writes.create(refOf(key, snapshot.id), { ...snapshot }),
      )
    },
    async list(key) {
      const found = await db.query('list snapshots', recordsOf(key))
      const records = found.docs.map((doc) => doc.data() as SnapshotRecord)
      return records.toSorted((a, b) => b.seq - a.seq || b.at - a.at)
    },
    async quarantine(key, id, reason) {
      await db.commit('quarantine a snapshot', (writes) =>
        writes.update(refOf(key, id), { quarantined: reason }),
      )
    },
    async remove(key, id) {
      await db.commit('remove a snapshot record', (writes) => writes.delete(refOf(key, id)))
    },
  }
}
