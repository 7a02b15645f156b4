import { join } from 'node:path'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { rehydrate, type Rehydrated } from './rehydrate.ts'
import { KEY, silent, type World } from './testing.ts'
import { fileWorkingCopies } from './working-copy.ts'

/** For the tests of rehydration: a state built anew, and the ways in which what is stored goes bad. */

export async function fresh(
  world: World,
  more: { stores?: Partial<Stores>; dir?: string } = {},
): Promise<Rehydrated> {
  const workingCopies = fileWorkingCopies(more.dir ?? join(world.folder, 'none'), silent)
  const stores = { ...world.stores, ...more.stores }
  const rebuilt = await rehydrate({ stores, log: silent, workingCopies }, KEY, await world.ring(), [])
  await workingCopies.settle()
  return rebuilt
}

/** A journal as the store holds it, with entries changed or taken out. */
export function withJournal(
  world: World,
  change: (entry: JournalEntry) => JournalEntry | undefined,
): Pick<Stores, 'journal'> {
  const { journal } = world.stores
  return {
    journal: {
      ...journal,
      head: (key) => journal.head(key),
      read: async (key, fromSeq) =>
        (await journal.read(key, fromSeq)).flatMap((entry) => change(entry) ?? []),
    },
  }
}

export function flipped(whole: Uint8Array): Uint8Array {
  const copy = Buffer.from(whole)
  copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1
  return copy
}

// oxlint-disable-next-line require-yield
export async function* failing(error: Error): AsyncGenerator<Uint8Array> {
  throw error
}
