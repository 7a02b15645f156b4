import { CodedError } from '../errors.ts'
import type { FleetStore, FleetVersion } from '../store/fleet-store.ts'
import { change } from './change.ts'
import { dataOf, type Database } from './database.ts'

/** Whoever finds the record missing, and then made by another, finds it the next time. */
const TRIES_MAX = 3

/** `fleet/version`: the record in one field, so that what is gone from it is gone. */
export function firestoreFleetStore(db: Database): FleetStore {
  const ref = db.collection('fleet').doc('version')
  const what = 'change the version of the fleet'
  type Document = { version: FleetVersion }

  return {
    async version() {
      return dataOf<Document>(await db.get('read the version of the fleet', ref))?.version
    },
    async changeVersion(decide) {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const seen = await change<Document>(db, what, ref, (stored) => {
          const version = stored && decide(stored.version)
          return version && { fields: { version } }
        })
        if (seen) return seen.data.version
        const version = decide(undefined)
        if (!version) return undefined
        const { done } = await db.commit(what, (writes) => writes.create(ref, { version }))
        if (done) return version
      }
      throw new CodedError('conflict', `${what}: too many writers at once`)
    },
  }
}
