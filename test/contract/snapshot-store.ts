import { expect } from 'vitest'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { AT, keyOf, snapshot } from './samples.ts'

const KEY = keyOf('t', 's')

/** The promises of `SnapshotStore`. */
export function snapshotStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('SnapshotStore', make, options, (promise) => {
    promise('yields none for a session without any', async ({ stores }) => {
      expect(await stores.snapshots.list(KEY)).toEqual([])
    })

    promise(
      'keeps a record that was acknowledged when the client closes at once',
      async ({ stores, reopen }) => {
        const mac = '00112233445566778899aabbccddeeff'
        const record = snapshot(5, { mac, label: 'before the update', archive: true, clean: true })
        await stores.snapshots.record(KEY, record)
        await stores.close()
        expect(await (await reopen()).snapshots.list(KEY)).toEqual([record])
      },
    )

    promise('leaves a record as it is when its id comes again', async ({ stores }) => {
      await stores.snapshots.record(KEY, snapshot(5))
      await stores.snapshots.record(KEY, snapshot(5))
      await stores.snapshots.record(KEY, snapshot(5, { bytes: 9 }))
      expect(await stores.snapshots.list(KEY)).toEqual([snapshot(5)])
    })

    promise('lists newest first, by seq and then by time', async ({ stores }) => {
      const early = snapshot(10, { id: '1-10-a', at: AT })
      const late = snapshot(10, { id: '1-10-b', at: AT + 1 })
      for (const record of [late, snapshot(9), early, snapshot(100)])
        await stores.snapshots.record(KEY, record)
      expect(await stores.snapshots.list(KEY)).toEqual([snapshot(100), late, early, snapshot(9)])
    })

    promise('keeps sessions apart', async ({ stores }) => {
      await stores.snapshots.record(KEY, snapshot(1))
      await stores.snapshots.record(keyOf('t', 's2'), snapshot(1, { bytes: 2 }))
      expect(await stores.snapshots.list(KEY)).toEqual([snapshot(1)])
    })

    promise('marks one as unusable, with the reason, and only that one', async ({ stores, reopen }) => {
      await stores.snapshots.record(KEY, snapshot(1))
      await stores.snapshots.record(KEY, snapshot(2))
      await stores.snapshots.quarantine(KEY, snapshot(2).id, 'wrong tag')
      const found = await (await reopen()).snapshots.list(KEY)
      expect(found).toEqual([{ ...snapshot(2), quarantined: 'wrong tag' }, snapshot(1)])
    })

    promise('marks and removes what is gone without harm', async ({ stores }) => {
      await stores.snapshots.record(KEY, snapshot(1))
      await stores.snapshots.remove(KEY, snapshot(1).id)
      await stores.snapshots.remove(KEY, snapshot(1).id)
      await stores.snapshots.quarantine(KEY, snapshot(1).id, 'missing')
      expect(await stores.snapshots.list(KEY)).toEqual([])
    })
  })
}
