import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { systemRandom } from '#shared/random.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Subject } from './promises.ts'

export const openAt = (dataDir: string, keyText?: string): Promise<Stores> =>
  openEmbeddedStores({
    dataDir,
    clock: systemClock,
    random: systemRandom,
    ...(keyText !== undefined && { keyText }),
  })

/** A folder for one test, which takes it away again. */
export async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'mooring-contract-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** The embedded stores in a folder of their own. */
export async function makeEmbedded(): Promise<Subject & { dataDir: string }> {
  const folder = await temporaryFolder()
  const clients = [await openAt(folder.path)]
  const [stores] = clients as [Stores]
  return {
    dataDir: folder.path,
    stores,
    reopen: async () => {
      const client = await openAt(folder.path)
      clients.push(client)
      return client
    },
    close: async () => {
      await Promise.all(clients.map((client) => client.close()))
      await folder[Symbol.asyncDispose]()
    },
    // The largest page of an embedded scan has 1,000 rows.
    beyondOnePage: 1_030,
  }
}
