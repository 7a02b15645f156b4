import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  nameOfKey,
  parseRunnerId,
  parseSessionId,
  parseTenantId,
  sessionKey,
  sessionName,
  splitKey,
  tenantTrail,
  type LifeId,
} from './ids.ts'

describe('a name', () => {
  test.for(['a', 'Shop-1', '0', 'a.b_c-d', 'x'.repeat(64)])('may be %s', (text) => {
    expect([parseTenantId(text), parseSessionId(text), parseRunnerId(text)]).toEqual([text, text, text])
  })

  test.for(['', ' ', '-a', '.a', '_a', 'a b', 'a/b', 'a~b', 'ä', 'a\n', '..', 'x'.repeat(65), '__proto__'])(
    'may not be "%s"',
    (text) => {
      expect(() => parseSessionId(text)).toThrow(
        expect.objectContaining({
          code: 'invalid_field',
          field: 'id',
          message: expect.stringMatching(/^id must/),
        }),
      )
    },
  )

  test('that is wrong is named by its field', () => {
    expect(() => parseTenantId('~')).toThrow(expect.objectContaining({ field: 'tenant' }))
    expect(() => parseRunnerId('~')).toThrow(expect.objectContaining({ field: 'runner' }))
    expect(() => parseSessionId('~', 'session')).toThrow(expect.objectContaining({ field: 'session' }))
  })
})

test('a key holds its names and its life, and no two of them make the same key', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/)
  const anyLife = fc.option(fc.stringMatching(/^[a-z2-7]{16}$/), { nil: undefined })
  const roundTrip = fc.property(name, name, anyLife, (tenant, session, life) => {
    const key = sessionKey(parseTenantId(tenant), parseSessionId(session), life as LifeId | undefined)
    expect(splitKey(key)).toEqual({ tenant, session, ...(life !== undefined && { life }) })
    expect(nameOfKey(key)).toBe(sessionName(parseTenantId(tenant), parseSessionId(session)))
    expect(splitKey(tenantTrail(parseTenantId(tenant)))).toEqual({ tenant, session: '' })
  })
  fc.assert(roundTrip, { numRuns: 200 })
})
