import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { CodedError } from '#shared/errors.ts'
import type { Random } from '#shared/random.ts'
import type { ControlContext } from './context.ts'

export const IDEMPOTENCY_HEADER = 'idempotency-key'
const KEY = /^[\x21-\x7e]{1,200}$/
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

/** The `Idempotency-Key` of a request. @throws CodedError `invalid_field` when it can't be one */
export function idempotencyKey(c: ControlContext): string | undefined {
  const key = c.req.header(IDEMPOTENCY_HEADER)
  if (key === undefined) return undefined
  if (!KEY.test(key)) {
    throw new CodedError('invalid_field', 'Idempotency-Key must be 1 to 200 visible ASCII characters.', {
      field: 'Idempotency-Key',
    })
  }
  return key
}

/**
 * Control keeps no table of past requests: what a request creates is named after its `Idempotency-Key`, and every store
 * creates a name only once. So a repeat finds what the first attempt made, on whichever control process it lands.
 */
export function idFor(c: ControlContext, random: Random, ...subject: string[]): string {
  const key = idempotencyKey(c)
  if (key === undefined) return random.id()
  const digest = digestOf(...subject, key)
  return Array.from(digest.subarray(0, 16), (byte) => ALPHABET[byte & 31]).join('')
}

/**
 * The WhatsApp id of a message, in the form that WhatsApp Web gives its own: `3EB0` and 18 hex digits (Baileys'
 * `generateMessageIDV2`). Derived from tenant, session and `Idempotency-Key` where there is one, under a secret: whoever
 * knows or guesses those three does not know the id, and by an id one can ask for a message again.
 */
export function messageIdFor(
  c: ControlContext,
  { random, messageIdSecret }: { random: Random; messageIdSecret: Uint8Array },
  ...subject: string[]
): string {
  const parts = [...subject, idempotencyKey(c) ?? `${random.id()}${random.id()}`]
  const mac = createHmac('sha256', messageIdSecret).update(joined(parts), 'utf8').digest('hex')
  return `3EB0${mac.toUpperCase().slice(0, 18)}`
}

/**
 * The secret of message ids: a key of its own from the pepper, which only control has, on every store, for as long as
 * `Idempotency-Key`s are remembered and longer. A new pepper is a new secret: a request that is repeated across the change
 * is another message.
 */
export const messageIdSecretOf = (keyPepper: string): Uint8Array =>
  Buffer.from(hkdfSync('sha256', keyPepper, '', 'mooring message ids 1', 32))

/** Parts are separated by a character that none of them can contain. */
const joined = (parts: readonly string[]): string => parts.join('|')

const digestOf = (...parts: string[]): Buffer => createHash('sha256').update(joined(parts), 'utf8').digest()
