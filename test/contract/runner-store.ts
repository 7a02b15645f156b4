import { expect } from 'vitest'
import type { Stores } from '#shared/store/stores.ts'
import { eventually } from './eventually.ts'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { keyOf, lease, runner } from './samples.ts'

const recordsOf = async ({ runners }: Pick<Stores, 'runners'>) => (await runners.look()).records

/** The promises of `RunnerStore`. */
export function runnerStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('RunnerStore', make, options, (promise) => {
    promise("stamps a renewal with the store's clock, durably", async ({ stores, reopen }) => {
      const { nowMs: before } = await stores.runners.look()
      const record = await stores.runners.renew(lease('a', 1, { held: 7 }))
      const { nowMs: after } = await stores.runners.look()
      expect(record).toEqual({ ...lease('a', 1, { held: 7 }), renewedAt: record.renewedAt })
      expect(record.renewedAt).toBeGreaterThanOrEqual(before)
      expect(record.renewedAt).toBeLessThanOrEqual(after)
      await stores.close()
      expect(await recordsOf(await reopen())).toEqual([record])
    })

    promise('writes the record whole at every renewal', async ({ stores }) => {
      await stores.runners.renew(lease('a', 1, { held: 7, capacity: 50 }))
      await stores.runners.renew(lease('a', 2, { held: 8, capacity: 60 }))
      expect(await recordsOf(stores)).toMatchObject([{ beat: 2, held: 8, capacity: 60 }])
    })

    promise('takes a repeated renewal with the same beat', async ({ stores }) => {
      await stores.runners.renew(lease('a', 1))
      await stores.runners.renew(lease('a', 2))
      expect(await stores.runners.renew(lease('a', 2))).toMatchObject({ beat: 2 })
      expect(await recordsOf(stores)).toMatchObject([{ beat: 2 }])
    })

    promise('tells a runner at its next renewal that it was asked to drain', async ({ stores, reopen }) => {
      await stores.runners.renew(lease('a', 1))
      await (await reopen()).runners.drain(runner('a'))
      expect(await stores.runners.renew(lease('a', 2))).toMatchObject({ draining: true })
      expect(await recordsOf(stores)).toMatchObject([{ beat: 2, draining: true }])
    })

    promise(
      'tells a runner at its next renewal that its drain was taken back',
      async ({ stores, reopen }) => {
        const other = await reopen()
        await stores.runners.renew(lease('a', 1))
        await other.runners.resume(runner('a'))
        await other.runners.drain(runner('a'))
        expect(await stores.runners.renew(lease('a', 2, { draining: true }))).toMatchObject({
          drainAsked: true,
        })
        await other.runners.resume(runner('a'))
        const renewed = await stores.runners.renew(lease('a', 3))
        expect(renewed).toMatchObject({ beat: 3, draining: false })
        expect(renewed).not.toHaveProperty('drainAsked')
        expect(await recordsOf(stores)).toEqual([{ ...renewed, renewedAt: expect.any(Number) }])
      },
    )

    promise('takes back no drain that the runner began by itself', async ({ stores, reopen }) => {
      await stores.runners.renew(lease('a', 1, { draining: true }))
      await (await reopen()).runners.resume(runner('a'))
      expect(await stores.runners.renew(lease('a', 2, { draining: true }))).toMatchObject({ draining: true })
    })

    promise('loses no drain that comes between many renewals', async ({ stores, reopen }) => {
      await stores.runners.renew(lease('a', 1))
      const other = await reopen()
      const renewals = async () => {
        for (let beat = 2; beat < 12; beat++) await stores.runners.renew(lease('a', beat))
      }
      await Promise.all([renewals(), other.runners.drain(runner('a'))])
      expect(await stores.runners.renew(lease('a', 12))).toMatchObject({ beat: 12, draining: true })
    })

    promise('says lease_lost when the record of a later beat was removed', async ({ stores, reopen }) => {
      await stores.runners.renew(lease('a', 1))
      await (await reopen()).runners.remove(runner('a'))
      await expect(stores.runners.renew(lease('a', 2))).rejects.toMatchObject({ code: 'lease_lost' })
      expect(await recordsOf(stores)).toEqual([])
    })

    promise('lists all records by id', async ({ stores }) => {
      expect(await recordsOf(stores)).toEqual([])
      for (const id of ['b', 'c', 'a']) await stores.runners.renew(lease(id, 1, { leaseForMs: 1 }))
      expect((await recordsOf(stores)).map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    })

    promise('says not_found when nobody of that name can drain', async ({ stores }) => {
      await expect(stores.runners.drain(runner('a'))).rejects.toMatchObject({ code: 'not_found' })
      await expect(stores.runners.resume(runner('a'))).rejects.toMatchObject({ code: 'not_found' })
    })

    promise('removes a record, and again without harm', async ({ stores }) => {
      await stores.runners.renew(lease('a', 1))
      await stores.runners.renew(lease('b', 1))
      await stores.runners.remove(runner('a'))
      await stores.runners.remove(runner('a'))
      expect((await recordsOf(stores)).map(({ id }) => id)).toEqual(['b'])
    })

    promise('never calls a runner dead that lives or that it does not know', async ({ stores, reopen }) => {
      await stores.runners.renew(lease('a', 1))
      const other = await reopen()
      expect(await other.runners.provenDead(runner('a'))).toBe(false)
      expect(await stores.runners.provenDead(runner('a'))).toBe(false)
      expect(await other.runners.provenDead(runner('nobody'))).toBe(false)
    })

    promise(
      'tells the watch of another client who appeared, drains and vanished',
      async ({ stores, reopen }) => {
        let calls = 0
        const watch = (await reopen()).runners.watch(() => (calls += 1))
        const hears = async (what: string, action: () => Promise<unknown>) => {
          const before = calls
          await action()
          await eventually(what, () => calls > before)
        }
        await hears('the new runner is heard', () => stores.runners.renew(lease('a', 1)))
        await hears('the drain is heard', () => stores.runners.drain(runner('a')))
        await hears('that it was taken back is heard', () => stores.runners.resume(runner('a')))
        await hears('the removal is heard', () => stores.runners.remove(runner('a')))
        await watch.close()
      },
    )

    promise('calls no watch for renewals alone', async ({ stores, reopen }) => {
      const other = await reopen()
      let calls = 0
      let claims = 0
      const watches = [other.runners.watch(() => (calls += 1)), other.owners.watch(() => (claims += 1))]
      await stores.runners.renew(lease('a', 1))
      await eventually('the new runner is heard', () => calls > 0)
      const before = calls
      for (let beat = 2; beat < 8; beat++) await stores.runners.renew(lease('a', beat))
      // A claim comes after the renewals: once it is heard they would have been heard as well.
      const nobody = { key: keyOf('t', 's'), runnerId: runner('a'), expectEpoch: 0, nonce: 'n', nowMs: 1 }
      await stores.owners.claim(nobody)
      await eventually('the claim is heard', () => claims > 0)
      expect(calls).toBe(before)
      await Promise.all(watches.map((watch) => watch.close()))
    })
  })
}
