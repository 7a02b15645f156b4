import type { SessionKey } from '#shared/ids.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { LocalCopy, WorkingCopies } from '#runner/state/working-copy.ts'
import type { SimulatedProcess } from './process.ts'

interface Copy {
  head: { epoch: number; seq: number }
  parts: readonly Uint8Array[]
  tail: readonly JournalEntry[]
}

/** As in working-copy.ts. */
const WRITE_AFTER_MS = 200

/** A host's disk: it may outlive the processes that run there. */
export class Disk {
  readonly copies = new Map<SessionKey, Copy>()
  wipe(): void {
    this.copies.clear()
  }
}

const EMPTY: Copy = { head: { epoch: 0, seq: 0 }, parts: [], tail: [] }

/** The working copies of one process on a disk. Entries reach the disk a moment later; a crash loses those. */
export function workingCopiesOn(disk: Disk, process: SimulatedProcess): WorkingCopies {
  let waiting: [SessionKey, JournalEntry][] = []
  const flush = (): void => {
    for (const [key, entry] of waiting) {
      const copy = disk.copies.get(key) ?? EMPTY
      disk.copies.set(key, { ...copy, tail: [...copy.tail, entry] })
    }
    waiting = []
  }
  return {
    async load(key): Promise<LocalCopy | undefined> {
      flush()
      const copy = disk.copies.get(key)
      if (!copy) return undefined
      const { head, parts } = copy
      const tail: JournalEntry[] = []
      for (const entry of copy.tail) if (entry.seq === head.seq + tail.length + 1) tail.push(entry)
      const last = tail.at(-1)
      if (!last) return undefined
      const { seq, epoch, nonce } = last
      return { head, ...(head.seq > 0 ? { pieces: piecesOf(parts) } : {}), tail, seq, epoch, nonce }
    },
    append(key, entry) {
      if (waiting.push([key, entry]) === 1) process.clock.after(WRITE_AFTER_MS, flush)
    },
    async rebase(key, head, parts) {
      flush()
      const tail = (disk.copies.get(key)?.tail ?? []).filter(({ seq }) => seq > head.seq)
      disk.copies.set(key, { head, parts, tail })
    },
    async drop(key) {
      waiting = waiting.filter(([other]) => other !== key)
      disk.copies.delete(key)
    },
    keys: async () => [...disk.copies.keys()],
    settle: async () => flush(),
  }
}

async function* piecesOf(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts
}
