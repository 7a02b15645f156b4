import type { Stores } from '#shared/store/stores.ts'
import { KEY, type World } from './testing.ts'

/** For the tests of a session's state: what its journal holds, and stores that die under it. */

export const entries = (world: World) => world.stores.journal.read(KEY, 1)

/** Stores of a process that dies at its `nth` write: that one and all later ones never happen, or only the answer is lost. */
export function dyingStores(
  world: World,
  nth: number,
  how: 'before' | 'after',
): { stores: Stores; died: () => boolean } {
  const { stores } = world
  let writes = 0
  const dies = <A extends unknown[]>(write: (...ask: A) => Promise<void>) => {
    return async (...ask: A): Promise<void> => {
      writes++
      if (writes < nth) return write(...ask)
      if (writes === nth && how === 'after') await write(...ask)
      throw new Error('the process is dead')
    }
  }
  const { journal, blobs, snapshots } = stores
  return {
    died: () => writes >= nth,
    stores: {
      ...stores,
      journal: {
        ...journal,
        append: dies((...ask: Parameters<typeof journal.append>) => journal.append(...ask)),
        truncate: dies((...ask: Parameters<typeof journal.truncate>) => journal.truncate(...ask)),
      },
      blobs: {
        ...blobs,
        create: dies((...ask: Parameters<typeof blobs.create>) => blobs.create(...ask)),
        remove: dies((...ask: Parameters<typeof blobs.remove>) => blobs.remove(...ask)),
      },
      snapshots: {
        ...snapshots,
        record: dies((...ask: Parameters<typeof snapshots.record>) => snapshots.record(...ask)),
        remove: dies((...ask: Parameters<typeof snapshots.remove>) => snapshots.remove(...ask)),
      },
    },
  }
}
