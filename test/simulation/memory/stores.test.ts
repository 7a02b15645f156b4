import { systemClock } from '#shared/clock.ts'
import { allContracts } from '../../contract/all.ts'
import { MemoryDatabase } from './database.ts'
import { memoryStores } from './stores.ts'

allContracts(async () => {
  const db = new MemoryDatabase(() => systemClock.nowMs())
  return {
    stores: memoryStores(db),
    reopen: async () => memoryStores(db),
    close: async () => undefined,
    beyondOnePage: 40,
  }
})
