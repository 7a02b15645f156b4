import type { BinaryNode } from '@whiskeysockets/baileys'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { Arrivals } from './arrivals.ts'
import { PeerRate } from './peer-rate.ts'
import { authorOf, People } from './people.ts'

/**
 * What our own readers of stanzas make of any stanza, before the library sees it. They decide and refuse nothing by throwing: whoever
 * throws there ends the connection of the session, and on real processes test/hostile/strangers.test.ts shows that none does.
 */

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('49@s.whatsapp.net', '9:1@lid', '1@g.us', 'status@broadcast', '@', ':@lid', '__proto__'),
)
const attrs = fc.dictionary(
  fc.oneof(fc.constantFrom('id', 'from', 'participant', 'type', 'sender_pn', 'sender_lid', 'category'), text),
  text,
)
const stanza: fc.Arbitrary<BinaryNode> = fc.letrec<{ node: BinaryNode }>((tie) => ({
  node: fc.record(
    {
      tag: fc.oneof(fc.constantFrom('message', 'receipt', 'enc', 'retry', 'list', 'item'), text),
      attrs,
      content: fc.oneof(
        { depthSize: 'small' },
        text,
        fc.uint8Array({ maxLength: 40 }),
        fc.array(tie('node'), { maxLength: 4 }),
      ),
    },
    { requiredKeys: ['tag', 'attrs'] },
  ),
})).node

const people = new People({
  creds: { me: { id: '49:1@s.whatsapp.net', lid: '9:1@lid' } },
  records: { get: () => undefined },
})

describe('F3: any stanza', () => {
  test('has an author who is a text, and is by ourselves only where the server says so', () => {
    fc.assert(
      fc.property(attrs, text, (stamped, to) => {
        const author = authorOf(stamped)
        expect(typeof author).toBe('string')
        if (people.isOwn(author)) expect(author).toMatch(/^(49|9)(_\d+)?(:\d+)?@/)
        // Who is nobody has got nothing.
        if (
          stamped['from'] === undefined &&
          stamped['sender_pn'] === undefined &&
          stamped['sender_lid'] === undefined
        )
          expect(people.isRecipient(to, stamped)).toBe(false)
      }),
      { numRuns: 2_000 },
    )
  })

  test('is taken note of, and leaves nothing behind once it was tried', () => {
    fc.assert(
      fc.property(fc.array(stanza, { maxLength: 5 }), (many) => {
        const arrivals = new Arrivals(fakeClock())
        for (const one of many) arrivals.came(one)
        const tried = (node: BinaryNode): void => {
          if (node.content instanceof Uint8Array) arrivals.tried(node.content)
          if (Array.isArray(node.content)) for (const child of node.content) tried(child)
        }
        for (const one of many) tried(one)
        expect(arrivals.idleSinceMs).toBeUndefined()
      }),
      { numRuns: 1_000 },
    )
  })

  test('costs its author of his allowance, whoever that is', () => {
    fc.assert(
      fc.property(fc.array(attrs, { minLength: 1, maxLength: 20 }), (many) => {
        const rate = new PeerRate(fakeClock(), { burst: 1, perSecond: 0.001 })
        for (const one of many) expect(typeof rate.take(one)).toBe('boolean')
        const [first] = many
        expect(first && rate.take(first)).toBe(false)
      }),
      { numRuns: 500 },
    )
  })
})
