import { expect } from 'vitest'
import type { Owner } from '#shared/session.ts'
import { eventually } from './eventually.ts'
import { contract, gather, race, type ContractOptions, type Make } from './promises.ts'
import { AT, keyOf, runner } from './samples.ts'

const KEY = keyOf('t', 's')

const ask = (who: string, expectEpoch: number, nonce = `by-${who}`) => ({
  key: KEY,
  runnerId: runner(who),
  expectEpoch,
  nonce,
  nowMs: AT,
})

const letGo = (who: string, epoch: number) => ({
  key: KEY,
  runnerId: runner(who),
  epoch,
  nonce: 'r',
  nowMs: AT + 9,
})

/** The promises of `OwnerStore`. */
export function ownerStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('OwnerStore', make, options, (promise) => {
    promise('answers undefined for a session that nobody ever owned', async ({ stores }) => {
      expect(await stores.owners.get(KEY)).toBeUndefined()
    })

    promise('gives the first owner epoch 1, durably', async ({ stores, reopen }) => {
      const owner = await stores.owners.claim(ask('a', 0))
      expect(owner).toEqual({ runnerId: 'a', epoch: 1, since: AT, nonce: 'by-a' })
      await stores.close()
      expect(await (await reopen()).owners.get(KEY)).toEqual(owner)
    })

    promise('lets a claim through only on the epoch that was expected', async ({ stores }) => {
      await stores.owners.claim(ask('a', 0))
      await expect(stores.owners.claim(ask('b', 0))).rejects.toMatchObject({ code: 'owner_changed' })
      await expect(stores.owners.claim(ask('b', 2))).rejects.toMatchObject({ code: 'owner_changed' })
      expect(await stores.owners.get(KEY)).toMatchObject({ runnerId: 'a', epoch: 1 })
      expect(await stores.owners.claim(ask('b', 1))).toMatchObject({ runnerId: 'b', epoch: 2 })
    })

    promise('refuses an expected epoch where there is no record', async ({ stores }) => {
      await expect(stores.owners.claim(ask('a', 1))).rejects.toMatchObject({ code: 'owner_changed' })
    })

    promise('gives the same answer when a claim is repeated with its nonce', async ({ stores, reopen }) => {
      const owner = await stores.owners.claim(ask('a', 0))
      expect(await stores.owners.claim(ask('a', 0))).toEqual(owner)
      expect(await (await reopen()).owners.claim(ask('a', 0))).toEqual(owner)
    })

    promise('lets exactly one of many claims of the same epoch win', async ({ stores, reopen }) => {
      const other = await reopen()
      for (const epoch of [0, 1, 2]) {
        const claims = Array.from({ length: 8 }, (_, index) =>
          (index % 2 === 0 ? stores : other).owners.claim(ask(`r${index}`, epoch, `${epoch}-${index}`)),
        )
        expect(await race(claims)).toEqual({ won: 1, codes: ['owner_changed'] })
        expect(await other.owners.get(KEY)).toMatchObject({ epoch: epoch + 1 })
      }
    })

    promise('clears the runner at a release and keeps the epoch', async ({ stores, reopen }) => {
      await stores.owners.claim(ask('a', 0))
      await stores.owners.release(letGo('a', 1))
      const found = await (await reopen()).owners.get(KEY)
      expect(found).toMatchObject({ epoch: 1 })
      expect(found?.runnerId).toBeUndefined()
      expect(await stores.owners.claim(ask('b', 1))).toMatchObject({ runnerId: 'b', epoch: 2 })
    })

    promise('notes a witness at a release, and keeps it through claims', async ({ stores, reopen }) => {
      const witness = { seq: 41, mac: '00112233445566778899aabbccddeeff' }
      const claimed = await stores.owners.claim(ask('a', 0))
      expect(claimed.witness).toBeUndefined()
      await stores.owners.release({ ...letGo('a', 1), witness })
      const other = await reopen()
      expect((await other.owners.get(KEY))?.witness).toEqual(witness)
      expect((await gather(other.owners.scan())).map(([, owner]) => owner.witness)).toEqual([witness])
      expect(await other.owners.claim(ask('b', 1))).toMatchObject({ runnerId: 'b', epoch: 2, witness })
      expect((await other.owners.claim(ask('b', 1))).witness).toEqual(witness)
      // A takeover keeps it, and so does a release by an owner who never came to know the head.
      expect((await stores.owners.claim(ask('c', 2))).witness).toEqual(witness)
      await stores.owners.release(letGo('c', 3))
      expect((await stores.owners.get(KEY))?.witness).toEqual(witness)
    })

    promise('keeps the witness of a release when the release is repeated', async ({ stores }) => {
      const first = { seq: 41, mac: '00112233445566778899aabbccddeeff' }
      const second = { seq: 12, mac: 'ffeeddccbbaa99887766554433221100' }
      await stores.owners.claim(ask('a', 0))
      await stores.owners.release({ ...letGo('a', 1), witness: first })
      await stores.owners.release({ ...letGo('a', 1), witness: second })
      expect((await stores.owners.get(KEY))?.witness).toEqual(first)
      await stores.owners.claim(ask('b', 1))
      await stores.owners.release({ ...letGo('b', 2), witness: second })
      expect((await stores.owners.get(KEY))?.witness).toEqual(second)
    })

    promise('takes a repeated release', async ({ stores }) => {
      await stores.owners.claim(ask('a', 0))
      await stores.owners.release(letGo('a', 1))
      await stores.owners.release(letGo('a', 1))
      expect((await stores.owners.get(KEY))?.epoch).toBe(1)
    })

    promise('fences a release under another epoch or by another runner', async ({ stores }) => {
      await stores.owners.claim(ask('a', 0))
      await stores.owners.claim(ask('b', 1))
      const fenced = { code: 'fenced' }
      await expect(stores.owners.release(letGo('a', 1))).rejects.toMatchObject(fenced)
      await expect(stores.owners.release(letGo('a', 2))).rejects.toMatchObject(fenced)
      await expect(stores.owners.release(letGo('b', 3))).rejects.toMatchObject(fenced)
      expect(await stores.owners.get(KEY)).toMatchObject({ runnerId: 'b', epoch: 2 })
    })

    promise('forgets the owner of a deleted session, and again without harm', async ({ stores }) => {
      await stores.owners.claim(ask('a', 0))
      await stores.owners.remove(KEY)
      await stores.owners.remove(KEY)
      expect(await stores.owners.get(KEY)).toBeUndefined()
      expect(await stores.owners.claim(ask('b', 0))).toMatchObject({ epoch: 1 })
    })

    promise('scans every record over many pages, released ones too', async ({ stores, beyondOnePage }) => {
      const keys = Array.from({ length: beyondOnePage }, (_, index) => keyOf('t', `s${index}`))
      await Promise.all(keys.map((key) => stores.owners.claim({ ...ask('a', 0), key })))
      await stores.owners.release({ ...letGo('a', 1), key: keys[0] ?? KEY })
      const found = new Map(await gather(stores.owners.scan()))
      expect([...found.keys()].toSorted()).toEqual(keys.toSorted())
      expect(found.get(keys[0] ?? KEY)?.runnerId).toBeUndefined()
      expect(found.get(keys[1] ?? KEY)).toMatchObject({ runnerId: 'a', epoch: 1 })
    })

    promise('tells the watches of all clients of a claim and of a release', async ({ stores, reopen }) => {
      const near: string[] = []
      const far: string[] = []
      const watches = [
        stores.owners.watch((key) => near.push(key)),
        (await reopen()).owners.watch((key) => far.push(key)),
      ]
      await stores.owners.claim(ask('a', 0))
      await eventually('both hear the claim', () => near.includes(KEY) && far.includes(KEY))
      near.length = far.length = 0
      await stores.owners.release(letGo('a', 1))
      await eventually('both hear the release', () => near.includes(KEY) && far.includes(KEY))
      await Promise.all(watches.map((watch) => watch.close()))
    })

    promise('tells the witness along wherever it tells the record', async ({ stores, reopen }) => {
      const witness = { seq: 41, mac: '00112233445566778899aabbccddeeff' }
      const told: (Owner | undefined)[] = []
      const watch = (await reopen()).owners.watch((_, owner) => told.push(owner))
      await stores.owners.claim(ask('a', 0))
      await eventually('the claim is told', () => told.length > 0)
      told.length = 0
      await stores.owners.release({ ...letGo('a', 1), witness })
      await eventually('the release is told', () => told.length > 0)
      await stores.owners.claim(ask('b', 1))
      await eventually('the claim by the next is told', () => told.some((owner) => owner?.epoch !== 1))
      expect(told.filter((owner) => owner && owner.nonce !== 'by-a' && !owner.witness)).toEqual([])
      await watch.close()
    })
  })
}
