import { CodedError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Owner } from '#shared/session.ts'
import type { OwnerStore } from '#shared/store/owner-store.ts'
import type { MemoryClient } from './database.ts'

export function memoryOwnerStore(client: MemoryClient): OwnerStore {
  return {
    get: async (key) => client.open().owners.get(key),

    getAll: async (keys) => keys.map((key) => client.open().owners.get(key)),

    async *scan() {
      const all = [...client.open().owners]
      yield* all
    },

    async claim({ key, runnerId, expectEpoch, nonce, nowMs }) {
      const { owners } = client.open()
      const stored = owners.get(key)
      if (stored?.nonce === nonce && stored.runnerId === runnerId && stored.epoch === expectEpoch + 1)
        return stored
      if ((stored?.epoch ?? 0) !== expectEpoch)
        throw new CodedError('owner_changed', `${key} has epoch ${stored?.epoch ?? 0}, not ${expectEpoch}`)
      const owner: Owner = {
        runnerId,
        epoch: expectEpoch + 1,
        since: nowMs,
        nonce,
        ...(stored?.witness && { witness: stored.witness }),
      }
      owners.set(key, owner)
      client.db.note('owner', key)
      return owner
    },

    async release({ key, runnerId, epoch, nonce, nowMs, witness }) {
      const { owners } = client.open()
      const stored = owners.get(key)
      if (!stored) return
      if (stored.epoch !== epoch || (stored.runnerId !== undefined && stored.runnerId !== runnerId))
        throw new CodedError('fenced', `${key} is owned by another`)
      if (stored.runnerId === undefined) return
      const noted = witness ?? stored.witness
      owners.set(key, { epoch, since: nowMs, nonce, ...(noted && { witness: noted }) })
      client.db.note('owner', key)
    },

    async remove(key) {
      if (client.open().owners.delete(key)) client.db.note('owner', key)
    },

    /** Tells the record along, as it is when the hint is sent; it may be another when it comes. */
    watch: (changed) =>
      client.db.watch('owner', (key) => changed(key as SessionKey, client.db.owners.get(key as SessionKey))),
  }
}
