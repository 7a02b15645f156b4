/**
 * JSON as Baileys writes it into files (`BufferJSON`), read by its own rules, so that a value means here what it meant
 * there: `{type: 'Buffer', data}` is bytes, and so is an object that has only names which begin like numbers and only
 * numbers as values (what `JSON.stringify` makes of a bare Uint8Array). Beyond rc14 we accept `data` as a list of numbers
 * too, which is what a Buffer becomes without Baileys' replacer; rc14 would leave such an object as it is and fail on it.
 * @throws SyntaxError for what is no JSON, RangeError for what is nested too deep
 */
export const parseBufferJson = (text: string): unknown =>
  JSON.parse(text, (_, value: unknown) => revive(value))

/** Bytes as `{type: 'Buffer', data: base64}`, the one form that every version of Baileys reads. */
export const stringifyBufferJson = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => {
    const bytes = inner instanceof Uint8Array ? inner : markedBytes(inner)
    return bytes ? { type: 'Buffer', data: Buffer.from(bytes).toString('base64') } : inner
  })

function revive(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const marked = markedBytes(value)
  if (marked) return marked
  const names = Object.keys(value)
  const values: unknown[] = Object.values(value)
  const isBare = names.length > 0 && names.every((name) => !Number.isNaN(Number.parseInt(name, 10)))
  return isBare && values.every((one) => typeof one === 'number') ? Buffer.from(values) : value
}

function markedBytes(value: unknown): Buffer | undefined {
  const { type, data } = (value ?? {}) as { type?: unknown; data?: unknown }
  if (type !== 'Buffer') return undefined
  if (typeof data === 'string') return Buffer.from(data, 'base64')
  return isNumbers(data) ? Buffer.from(data) : undefined
}

const isNumbers = (data: unknown): data is number[] =>
  Array.isArray(data) && data.every((one) => typeof one === 'number')
