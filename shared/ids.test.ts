import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseRunnerId, parseSessionId, parseTenantId, sessionKey, splitKey } from './ids.ts'

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

test('a key holds its two names, and two different pairs never make the same key', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/)
  const roundTrip = fc.property(name, name, (tenant, session) => {
    const key = sessionKey(parseTenantId(tenant), parseSessionId(session))
    expect(splitKey(key)).toEqual({ tenant, session })
  })
  fc.assert(roundTrip, { numRuns: 200 })
})
