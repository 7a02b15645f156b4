import type { FleetStore } from '#shared/store/fleet-store.ts'
import type { MemoryClient } from './database.ts'

export function memoryFleetStore(client: MemoryClient): FleetStore {
  return {
    version: async () => client.open().fleetVersion,
    async changeVersion(change) {
      const database = client.open()
      database.fleetVersion = change(database.fleetVersion) ?? database.fleetVersion
      return database.fleetVersion
    },
  }
}
