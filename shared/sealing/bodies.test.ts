import { describe, expect, test } from 'vitest'
import { CodedError } from '../errors.ts'
import type { SessionKey, TenantId } from '../ids.ts'
import { createBodies } from './bodies.ts'
import { newTenantSalt, readContentSecret } from './content-secret.ts'

const secret = readContentSecret('s'.repeat(32))
const KEY = 'acme~shop~life1' as SessionKey

function begin() {
  const salts = new Map<TenantId, Uint8Array>()
  let asked = 0
  let isAway = false
  const tenants = {
    async salt(id: TenantId) {
      asked++
      if (isAway) throw new CodedError('store_unavailable', 'away')
      const salt = salts.get(id) ?? newTenantSalt()
      salts.set(id, salt)
      return salt
    },
  }
  return {
    tenants,
    bodies: createBodies(secret, tenants),
    asked: () => asked,
    goAway: (away: boolean) => (isAway = away),
  }
}

describe('bodies', () => {
  test('come back as they were, for another process of the same secret too', async () => {
    const { bodies, tenants } = begin()
    const value = { text: 'hello', bytes: Buffer.of(1, 2), at: 1_790_000_000_000, none: null }
    const sealed = await bodies.seal(KEY, 'feed|evt_1', value)
    expect(Buffer.from(sealed).includes('hello')).toBe(false)
    expect(await createBodies(secret, tenants).open(KEY, 'feed|evt_1', sealed)).toEqual(value)
  })

  test.for<[string, string, string]>([
    ['place', KEY, 'feed|evt_2'],
    ['session', 'acme~other~life1', 'feed|evt_1'],
    ['life', 'acme~shop~life2', 'feed|evt_1'],
    ['tenant', 'evil~shop~life1', 'feed|evt_1'],
  ])('F4: do not open in another %s', async ([, key, place]) => {
    const { bodies } = begin()
    const sealed = await bodies.seal(KEY, 'feed|evt_1', 'hello')
    await expect(bodies.open(key as SessionKey, place, sealed)).rejects.toMatchObject({ code: 'bad_bytes' })
  })

  test('ask for a salt once, and again when it could not be had', async () => {
    const { bodies, asked, goAway } = begin()
    goAway(true)
    const code = 'store_unavailable'
    await expect(bodies.seal(KEY, 'feed|evt_1', 1)).rejects.toMatchObject({ code })
    goAway(false)
    const all = [1, 2, 3].map((value) => bodies.seal(KEY, `feed|evt_${value}`, value))
    await Promise.all(all)
    expect(asked()).toBe(2)
  })
})
