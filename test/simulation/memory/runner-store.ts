import { CodedError } from '#shared/errors.ts'
import type { RunnerRecord } from '#shared/session.ts'
import type { RunnerStore } from '#shared/store/runner-store.ts'
import { byText, type MemoryClient } from './database.ts'

export function memoryRunnerStore(client: MemoryClient): RunnerStore {
  return {
    async renew(ask) {
      const { runners, nowMs } = client.open()
      const stored = runners.get(ask.id)
      if (!stored && ask.beat > 1) throw new CodedError('lease_lost', `the record of ${ask.id} was removed`)
      // An older renewal that comes late must not take the beat back.
      if (stored && stored.beat > ask.beat) return stored
      const asked = stored?.drainAsked === true
      const record: RunnerRecord = {
        ...ask,
        draining: ask.draining || asked,
        ...(asked ? { drainAsked: true } : {}),
        renewedAt: nowMs(),
      }
      runners.set(ask.id, record)
      if (stored?.draining !== record.draining) client.db.note('runner', ask.id)
      return record
    },

    async look() {
      const { runners, nowMs } = client.open()
      return { nowMs: nowMs(), records: [...runners.values()].toSorted((a, b) => byText(a.id, b.id)) }
    },

    async drain(id) {
      const { runners } = client.open()
      const stored = runners.get(id)
      if (!stored) throw new CodedError('not_found', `there is no runner ${id}`)
      if (stored.drainAsked) return
      runners.set(id, { ...stored, draining: true, drainAsked: true })
      client.db.note('runner', id)
    },

    // What the runner said itself comes back with its next renewal.
    async resume(id) {
      const { runners } = client.open()
      const stored = runners.get(id)
      if (!stored) throw new CodedError('not_found', `there is no runner ${id}`)
      if (!stored.drainAsked) return
      const { drainAsked: _, ...rest } = stored
      runners.set(id, { ...rest, draining: false })
      client.db.note('runner', id)
    },

    async remove(id) {
      if (client.open().runners.delete(id)) client.db.note('runner', id)
    },

    provenDead: async (id) => client.open().provenDead.has(id),

    watch: (changed) => client.db.watch('runner', () => changed()),
  }
}
