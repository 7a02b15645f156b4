import { expect } from 'vitest'
import type { SessionKey } from '#shared/ids.ts'
import type { JournalEntry, JournalStore } from '#shared/store/journal-store.ts'
import { contract, race, type ContractOptions, type Make } from './promises.ts'
import { entry, keyOf } from './samples.ts'

const KEY = keyOf('t', 's')

async function readAll(journal: JournalStore, key: SessionKey, fromSeq = 1): Promise<JournalEntry[]> {
  const found: JournalEntry[] = []
  for (;;) {
    const page = await journal.read(key, (found.at(-1)?.seq ?? fromSeq - 1) + 1)
    if (page.length === 0) return found
    found.push(...page)
  }
}

const seqs = (entries: readonly JournalEntry[]) => entries.map(({ seq }) => seq)

/** The promises of `JournalStore`. */
export function journalStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('JournalStore', make, options, (promise) => {
    promise('yields no entry and no head for a session that was never written', async ({ stores }) => {
      expect(await stores.journal.read(KEY, 1)).toEqual([])
      expect(await stores.journal.head(KEY)).toBeUndefined()
    })

    promise(
      'keeps an entry that was acknowledged when the client closes at once',
      async ({ stores, reopen }) => {
        const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
        await stores.journal.append(KEY, entry(1, { sealed: bytes, epoch: 4, nonce: 'abc' }))
        await stores.close()
        const { journal } = await reopen()
        expect(await journal.read(KEY, 1)).toEqual([{ seq: 1, epoch: 4, nonce: 'abc', sealed: bytes }])
      },
    )

    promise('refuses a seq that is taken and leaves the entry as it is', async ({ stores, reopen }) => {
      await stores.journal.append(KEY, entry(1))
      const taken = { code: 'seq_taken' }
      await expect(stores.journal.append(KEY, entry(1, { nonce: 'other' }))).rejects.toMatchObject(taken)
      const other = await reopen()
      await expect(other.journal.append(KEY, entry(1, { epoch: 2 }))).rejects.toMatchObject(taken)
      expect(await other.journal.read(KEY, 1)).toEqual([entry(1)])
    })

    promise('says seq_taken to the very writer of the entry too', async ({ stores }) => {
      await stores.journal.append(KEY, entry(1))
      await expect(stores.journal.append(KEY, entry(1))).rejects.toMatchObject({ code: 'seq_taken' })
    })

    promise('lets exactly one of many writers have a seq', async ({ stores, reopen }) => {
      const other = await reopen()
      for (const seq of [1, 2, 3]) {
        const appends = Array.from({ length: 8 }, (_, index) =>
          (index % 2 === 0 ? stores : other).journal.append(KEY, entry(seq, { nonce: `n${index}` })),
        )
        expect(await race(appends)).toEqual({ won: 1, codes: ['seq_taken'] })
      }
      expect(seqs(await readAll(stores.journal, KEY))).toEqual([1, 2, 3])
    })

    promise('reads ascending from the seq that was asked for', async ({ stores }) => {
      for (const seq of [1, 2, 3, 4]) await stores.journal.append(KEY, entry(seq))
      expect(await stores.journal.read(KEY, 3)).toEqual([entry(3), entry(4)])
      expect(await stores.journal.read(KEY, 5)).toEqual([])
    })

    promise('orders seqs as numbers', async ({ stores }) => {
      const written = [8, 9, 10, 11, 99, 100, 101, 1_000]
      for (const seq of written) await stores.journal.append(KEY, entry(seq))
      expect(seqs(await readAll(stores.journal, KEY))).toEqual(written)
      expect(await stores.journal.head(KEY)).toMatchObject({ seq: 1_000 })
    })

    promise('pages what does not fit into a few MiB, without gap or double', async ({ stores }) => {
      const bytes = new Uint8Array(700 << 10).fill(7)
      const written = Array.from({ length: 12 }, (_, index) => index + 1)
      for (const seq of written) await stores.journal.append(KEY, entry(seq, { sealed: bytes }))
      const first = await stores.journal.read(KEY, 1)
      expect(first.length).toBeGreaterThan(0)
      expect(first.length).toBeLessThan(written.length)
      const all = await readAll(stores.journal, KEY)
      expect(seqs(all)).toEqual(written)
      expect(all.every(({ sealed }) => Buffer.compare(sealed, bytes) === 0)).toBe(true)
    })

    promise('takes the entries of many sessions at once and keeps them apart', async ({ stores, reopen }) => {
      const keys = ['s', 's1', 's2', 's-1', 'S'].flatMap((id) => [keyOf('t', id), keyOf('t1', id)])
      await Promise.all(
        keys.map(async (key, index) => {
          for (const seq of [1, 2, 3]) await stores.journal.append(key, entry(seq, { epoch: index }))
        }),
      )
      const { journal } = await reopen()
      for (const [index, key] of keys.entries()) {
        const found = await journal.read(key, 1)
        expect(found.map(({ seq, epoch }) => [seq, epoch])).toEqual([1, 2, 3].map((seq) => [seq, index]))
      }
    })

    promise('takes a refused entry from a group without harm to the others', async ({ stores }) => {
      await stores.journal.append(KEY, entry(1))
      const ends = await Promise.allSettled([
        stores.journal.append(keyOf('t', 'a'), entry(1)),
        stores.journal.append(KEY, entry(1, { nonce: 'late' })),
        stores.journal.append(keyOf('t', 'b'), entry(1)),
      ])
      expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(await stores.journal.head(keyOf('t', 'b'))).toMatchObject({ seq: 1 })
    })

    promise('answers the head without its bytes', async ({ stores }) => {
      await stores.journal.append(KEY, entry(1))
      await stores.journal.append(KEY, entry(2, { epoch: 3, nonce: 'x' }))
      expect(await stores.journal.head(KEY)).toEqual({ seq: 2, epoch: 3, nonce: 'x' })
    })

    promise('removes entries up to a seq, and again without harm', async ({ stores, reopen }) => {
      for (const seq of [1, 2, 3, 4]) await stores.journal.append(KEY, entry(seq))
      await stores.journal.append(keyOf('t', 's2'), entry(1))
      await stores.journal.truncate(KEY, 2)
      await stores.journal.truncate(KEY, 2)
      const { journal } = await reopen()
      expect(seqs(await journal.read(KEY, 1))).toEqual([3, 4])
      expect(await journal.head(KEY)).toMatchObject({ seq: 4 })
      expect(seqs(await journal.read(keyOf('t', 's2'), 1))).toEqual([1])
    })

    promise('removes all entries of a long journal', async ({ stores }) => {
      const written = Array.from({ length: 1_100 }, (_, index) => index + 1)
      await Promise.all(written.map((seq) => stores.journal.append(KEY, entry(seq))))
      await stores.journal.truncate(KEY, 1_100)
      expect(await stores.journal.head(KEY)).toBeUndefined()
      expect(await stores.journal.read(KEY, 1)).toEqual([])
      await stores.journal.truncate(keyOf('t', 'nobody'), 5)
    })
  })
}
