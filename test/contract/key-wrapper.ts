import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { contract, type ContractOptions, type Make } from './promises.ts'

const AAD = 'tenant|session|key-1'

/** The promises of `KeyWrapper`. */
export function keyWrapperContract(make: Make, options: ContractOptions = {}): void {
  contract('KeyWrapper', make, options, (promise) => {
    promise('unwraps in another client what it wrapped', async ({ stores, reopen }) => {
      const dataKey = new Uint8Array(randomBytes(32))
      const { wrapped, keyVersion } = await stores.keys.wrap(dataKey, AAD)
      const other = await reopen()
      expect(await other.keys.unwrap(wrapped, AAD)).toEqual(dataKey)
      expect(keyVersion).toBe(await other.keys.currentVersion())
    })

    promise(
      'keeps the data key out of what it wrapped, and never wraps it the same twice',
      async ({ stores }) => {
        const dataKey = new Uint8Array(randomBytes(32))
        const first = Buffer.from((await stores.keys.wrap(dataKey, AAD)).wrapped)
        const second = Buffer.from((await stores.keys.wrap(dataKey, AAD)).wrapped)
        expect(first.includes(Buffer.from(dataKey))).toBe(false)
        expect(first.equals(second)).toBe(false)
      },
    )

    promise('refuses to unwrap under another aad', async ({ stores }) => {
      const { wrapped } = await stores.keys.wrap(randomBytes(32), AAD)
      const elsewhere = stores.keys.unwrap(wrapped, 'tenant|other|key-1')
      await expect(elsewhere).rejects.toMatchObject({ code: 'wrong_key' })
    })

    promise('refuses bytes of which one was changed or that end early', async ({ stores }) => {
      const { wrapped } = await stores.keys.wrap(randomBytes(32), AAD)
      for (const at of [0, 1, Math.floor(wrapped.length / 2), wrapped.length - 1]) {
        const changed = Uint8Array.from(wrapped, (byte, index) => (index === at ? byte ^ 1 : byte))
        await expect(stores.keys.unwrap(changed, AAD)).rejects.toMatchObject({ code: 'wrong_key' })
      }
      for (const end of [0, 5, wrapped.length - 1]) {
        const cut = stores.keys.unwrap(wrapped.slice(0, end), AAD)
        await expect(cut).rejects.toMatchObject({ code: 'wrong_key' })
      }
    })
  })
}
