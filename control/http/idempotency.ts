import { createHash } from 'node:crypto'
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
 * `generateMessageIDV2`). Derived from tenant, session and `Idempotency-Key` where there is one.
 */
export function messageIdFor(c: ControlContext, random: Random, ...subject: string[]): string {
  const digest = digestOf(...subject, idempotencyKey(c) ?? `${random.id()}${random.id()}`)
  return `3EB0${digest.toString('hex').toUpperCase().slice(0, 18)}`
}

/** Parts are separated by a character that none of them can contain. */
const digestOf = (...parts: string[]): Buffer => createHash('sha256').update(parts.join('|'), 'utf8').digest()
