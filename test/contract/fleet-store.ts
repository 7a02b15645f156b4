import { expect } from 'vitest'
import type { FleetVersion } from '#shared/store/fleet-store.ts'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { AT } from './samples.ts'

const versionOf = (build: number): FleetVersion => ({ inUse: { version: `2.3000.${build}`, since: AT } })

/** The promises of `FleetStore`. */
export function fleetStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('FleetStore', make, options, (promise) => {
    promise(
      'F11: keeps the version of the fleet durably, and knows none before',
      async ({ stores, reopen }) => {
        expect(await stores.fleet.version()).toBeUndefined()
        const known = {
          ...versionOf(1),
          current: { version: '2.3000.2', at: AT },
          trouble: { why: 'x', at: AT },
        }
        expect(await stores.fleet.changeVersion(() => known)).toEqual(known)
        await stores.close()
        expect(await (await reopen()).fleet.version()).toEqual(known)
      },
    )

    promise('replaces it whole, and writes nothing where nothing is to be changed', async ({ stores }) => {
      expect(await stores.fleet.changeVersion(() => undefined)).toBeUndefined()
      await stores.fleet.changeVersion(() => ({ ...versionOf(1), askedAt: AT }))
      expect(await stores.fleet.changeVersion(() => versionOf(2))).toEqual(versionOf(2))
      expect(await stores.fleet.changeVersion(() => undefined)).toEqual(versionOf(2))
      expect(await stores.fleet.version()).toEqual(versionOf(2))
    })

    promise(
      'loses no change of several at once: of those who ask first, one is',
      async ({ stores, reopen }) => {
        const other = await reopen()
        let first = 0
        const ask = (stored: FleetVersion | undefined): FleetVersion | undefined =>
          stored?.askedAt === undefined ? { ...versionOf(1), ...stored, askedAt: AT + ++first } : undefined
        const all = await Promise.all([stores, other, stores].map(({ fleet }) => fleet.changeVersion(ask)))
        expect(new Set(all.map((seen) => seen?.askedAt)).size).toBe(1)
      },
    )
  })
}
