import { expect } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import { contract, gather, race, type ContractOptions, type Make } from './promises.ts'

const NAME = 'snapshots/t/s/1-10-abc'
const bytes = (...values: number[]) => Uint8Array.from(values)

async function* oneByOne(parts: readonly Uint8Array[], broken?: Error): AsyncGenerator<Uint8Array> {
  yield* parts
  if (broken) throw broken
}

/** The promises of `BlobStore`. */
export function blobStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('BlobStore', make, options, (promise) => {
    promise('creates an object from its parts in order, durably', async ({ stores, reopen }) => {
      await stores.blobs.create(NAME, [bytes(1, 2), bytes(), bytes(255, 0)])
      await stores.close()
      const { blobs } = await reopen()
      expect(Buffer.concat(await gather(blobs.read(NAME)))).toEqual(Buffer.of(1, 2, 255, 0))
    })

    promise('keeps an object that has no bytes', async ({ stores }) => {
      await stores.blobs.create(NAME, [])
      expect(Buffer.concat(await gather(stores.blobs.read(NAME)))).toHaveLength(0)
      expect(await stores.blobs.list('')).toEqual([NAME])
    })

    promise('reads a large object in pieces of bounded size', async ({ stores }) => {
      const part = Uint8Array.from({ length: 1 << 20 }, (_, index) => index % 251)
      await stores.blobs.create(NAME, [part, part, part])
      const pieces = await gather(stores.blobs.read(NAME))
      expect(pieces.length).toBeGreaterThan(1)
      expect(Buffer.concat(pieces).equals(Buffer.concat([part, part, part]))).toBe(true)
    })

    promise('refuses a name that is taken and leaves the object as it is', async ({ stores, reopen }) => {
      await stores.blobs.create(NAME, [bytes(1)])
      const again = (await reopen()).blobs.create(NAME, [bytes(2)])
      await expect(again).rejects.toMatchObject({ code: 'blob_exists' })
      expect(Buffer.concat(await gather(stores.blobs.read(NAME)))).toEqual(Buffer.of(1))
    })

    promise('takes the same bytes under the same name again', async ({ stores }) => {
      await stores.blobs.create(NAME, [bytes(1, 2)])
      await stores.blobs.create(NAME, [bytes(1), bytes(2)])
      expect(Buffer.concat(await gather(stores.blobs.read(NAME)))).toEqual(Buffer.of(1, 2))
    })

    promise('creates an object from parts that come one by one', async ({ stores, reopen }) => {
      const part = new Uint8Array(100_000).fill(5)
      await stores.blobs.create(NAME, oneByOne([bytes(1, 2), part, bytes(), bytes(9)]))
      const stored = Buffer.concat(await gather((await reopen()).blobs.read(NAME)))
      expect(stored.equals(Buffer.concat([bytes(1, 2), part, bytes(9)]))).toBe(true)
    })

    promise('keeps nothing of parts that break off, and says what broke them', async ({ stores }) => {
      const cut = new CodedError('too_large', 'that is enough')
      const creating = stores.blobs.create(NAME, oneByOne([new Uint8Array(300_000)], cut))
      await expect(creating).rejects.toBe(cut)
      expect(await stores.blobs.list('')).toEqual([])
      await stores.blobs.create(NAME, oneByOne([bytes(3)]))
      expect(Buffer.concat(await gather(stores.blobs.read(NAME)))).toEqual(Buffer.of(3))
    })

    promise('refuses parts that come one by one under a name that is taken', async ({ stores }) => {
      await stores.blobs.create(NAME, [bytes(1)])
      const again = stores.blobs.create(NAME, oneByOne([bytes(1)]))
      await expect(again).rejects.toMatchObject({ code: 'blob_exists' })
      expect(Buffer.concat(await gather(stores.blobs.read(NAME)))).toEqual(Buffer.of(1))
    })

    promise('lets exactly one of several writers have a name', async ({ stores, reopen }) => {
      const other = await reopen()
      const creates = [1, 2, 3, 4].map((value) =>
        (value % 2 === 0 ? stores : other).blobs.create(NAME, [bytes(value)]),
      )
      expect(await race(creates)).toEqual({ won: 1, codes: ['blob_exists'] })
      expect(Buffer.concat(await gather(stores.blobs.read(NAME)))).toHaveLength(1)
    })

    promise(
      'shows a reader nothing or all of an object that is being written',
      async ({ stores, reopen }) => {
        const other = await reopen()
        const part = new Uint8Array(512 << 10).fill(3)
        const parts = Array.from({ length: 8 }, () => part)
        const progress = { isDone: false }
        const writing = stores.blobs.create(NAME, parts).finally(() => (progress.isDone = true))
        do {
          const names = await other.blobs.list('')
          expect([[], [NAME]]).toContainEqual(names)
          if (names.length > 0) {
            const found = Buffer.concat(await gather(other.blobs.read(NAME)))
            expect(found).toHaveLength(8 * part.length)
          }
        } while (!progress.isDone)
        await writing
        expect(await other.blobs.list('')).toEqual([NAME])
      },
    )

    promise('says blob_missing at the first piece of what is not there', async ({ stores }) => {
      await expect(gather(stores.blobs.read(NAME))).rejects.toMatchObject({ code: 'blob_missing' })
    })

    promise('lists the names with a prefix, ascending', async ({ stores }) => {
      const names = ['a/1', 'a/10', 'a/2', 'a/b/1', 'ab/1', 'a~b/x.y_z-1', 'b']
      await Promise.all(names.toReversed().map((name) => stores.blobs.create(name, [bytes(1)])))
      expect(await stores.blobs.list('')).toEqual(names.toSorted())
      expect(await stores.blobs.list('a/')).toEqual(['a/1', 'a/10', 'a/2', 'a/b/1'])
      expect(await stores.blobs.list('a/1')).toEqual(['a/1', 'a/10'])
      expect(await stores.blobs.list('a/b/')).toEqual(['a/b/1'])
      expect(await stores.blobs.list('none/')).toEqual([])
    })

    promise('lets one name be the folder of another', async ({ stores }) => {
      await stores.blobs.create('a', [bytes(1)])
      await stores.blobs.create('a/b', [bytes(2)])
      expect(await stores.blobs.list('a')).toEqual(['a', 'a/b'])
      expect(Buffer.concat(await gather(stores.blobs.read('a')))).toEqual(Buffer.of(1))
    })

    promise('removes an object, and again without harm', async ({ stores }) => {
      await stores.blobs.create(NAME, [bytes(1)])
      await stores.blobs.remove(NAME)
      await stores.blobs.remove(NAME)
      await stores.blobs.remove('never/was')
      expect(await stores.blobs.list('')).toEqual([])
      await stores.blobs.create(NAME, [bytes(2)])
      expect(Buffer.concat(await gather(stores.blobs.read(NAME)))).toEqual(Buffer.of(2))
    })
  })
}
