import { CodedError } from '../errors.ts'

/**
 * What no set of stores keeps, so that both refuse it alike and in time: what works on one machine works on Google Cloud,
 * and nothing is mangled on the way. Firestore refuses a document over 1 MiB, more than 20 levels, names like `__x__`, lists
 * in lists, and strings that are not Unicode (firebase.google.com/docs/firestore/quotas, and tried on the emulator); JSON
 * would make `null` of a number that is none.
 */

/** Of one record, by Firestore's way of counting; the rest of its 1,048,576 bytes is for names and an adapter's own fields. */
const RECORD_BYTES_MAX = 1_000_000
/** A want shares its document with the status and the data keys, which must find room whatever a tenant writes. */
export const WANT_BYTES_MAX = 256 * 1024
/** An adapter puts a record one or two levels down. */
const DEPTH_MAX = 16
const NAME_BYTES_MAX = 1500
/** A number, a moment, or what only an adapter knows. */
const SCALAR_BYTES = 8

/** Some of several things that were given together can't be kept; the others can. */
export class RefusedItems extends CodedError {
  /** Their places in the list that was given, ascending; at least one. */
  readonly items: readonly number[]

  constructor(message: string, items: readonly number[], cause?: unknown) {
    super('store_refused', message, { cause })
    this.items = items
  }
}

/**
 * Refuses what no store can keep of `record`, whose fields name its parts for people: the error's `field` is the place in
 * it. Nothing of the values is in the error. @throws CodedError `store_refused`
 */
export function mustBeStorable(
  doing: string,
  record: Readonly<Record<string, unknown>>,
  bytesMax = RECORD_BYTES_MAX,
): void {
  const found = refusalOf(record, bytesMax)
  if (found)
    throw new CodedError('store_refused', `${doing}: ${found.place} ${found.why}`, { field: found.place })
}

/** The same for a list of which each item is a record. @throws RefusedItems naming every one that can't be kept */
export function mustAllBeStorable(doing: string, items: readonly unknown[]): void {
  const refused = items.flatMap((item, index) => {
    const found = refusalOf({ item }, RECORD_BYTES_MAX)
    return found ? [{ index, found }] : []
  })
  const [first] = refused
  if (!first) return
  const { place, why } = first.found
  const indexes = refused.map(({ index }) => index)
  throw new RefusedItems(`${doing}: ${indexes.length} of ${items.length}; ${place} ${why}`, indexes)
}

/** About what a value that can be stored takes. */
export const storedBytes = (value: unknown): number => bytesOf(value, '', 0)

interface Refusal {
  place: string
  why: string
}

function refusalOf(record: Readonly<Record<string, unknown>>, bytesMax: number): Refusal | undefined {
  let [bytes, heaviest, place] = [0, -1, '']
  try {
    for (const [name, value] of Object.entries(record)) {
      const size = bytesOf(value, name, 0)
      bytes += size
      if (size > heaviest) [heaviest, place] = [size, name]
    }
  } catch (thrown) {
    if (thrown instanceof Unstorable) return thrown
    throw thrown
  }
  if (bytes <= bytesMax) return undefined
  return { place, why: `makes the record ${bytes} bytes long, and a store keeps ${bytesMax} of one` }
}

/** Carries a refusal out of the depths of a value; it never leaves this file. */
class Unstorable extends Error implements Refusal {
  readonly place: string
  readonly why: string

  constructor(place: string, why: string) {
    super(why)
    this.place = place
    this.why = why
  }
}

/** What a value takes in a document (firebase.google.com/docs/firestore/storage-size). */
function bytesOf(value: unknown, place: string, depth: number): number {
  switch (typeof value) {
    case 'undefined': // left out
      return 0
    case 'boolean':
      return 1
    case 'string':
      if (!value.isWellFormed())
        throw new Unstorable(place, 'has half of a surrogate pair, which is no character')
      return Buffer.byteLength(value) + 1
    case 'number':
      if (!Number.isFinite(value)) throw new Unstorable(place, 'is no number')
      return SCALAR_BYTES
    case 'object':
      return value === null ? 1 : bytesIn(value, place, depth)
    case 'bigint':
    case 'function':
    case 'symbol':
      throw new Unstorable(place, `is a ${typeof value}`)
  }
}

function bytesIn(value: object, place: string, depth: number): number {
  if (depth === DEPTH_MAX) throw new Unstorable(place, `has more than ${DEPTH_MAX} levels`)
  if (ArrayBuffer.isView(value)) return value.byteLength
  if (Array.isArray(value)) {
    return value.reduce<number>((sum, item: unknown) => {
      if (Array.isArray(item)) throw new Unstorable(place, 'is a list with a list in it')
      return sum + bytesOf(item, place, depth + 1)
    }, 0)
  }
  // A moment or a marker of the adapter's own library, which judges it itself.
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return SCALAR_BYTES
  let sum = 0
  for (const [name, field] of Object.entries(value)) {
    const nameBytes = Buffer.byteLength(name) + 1
    const isGood =
      name !== '' && name.isWellFormed() && nameBytes <= NAME_BYTES_MAX && !/^__.*__$/s.test(name)
    if (!isGood) throw new Unstorable(place, 'has a field with a name that can not be stored')
    sum += nameBytes + bytesOf(field, `${place}.${name}`, depth + 1)
  }
  return sum
}
