/** Reasons and names that are meant for people are shorter; what is longer came from outside. */
const WORDS_LENGTH_MAX = 1_000

/**
 * A copy of a record in which nothing is left that a store may refuse for good: strings are cut and their broken characters
 * replaced, and what is no number is left out. For records whose strings are for people. Pure.
 */
export function withStorableWords<T>(value: T): T {
  return storable(value) as T
}

function storable(value: unknown): unknown {
  if (typeof value === 'string') return value.slice(0, WORDS_LENGTH_MAX).toWellFormed()
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  if (Array.isArray(value)) return value.map(storable)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(([name, field]) => [name, storable(field)] as const)
  return Object.fromEntries(fields.filter(([, field]) => field !== undefined))
}
