/** One line of the log, as Cloud Logging holds it under `jsonPayload`. */
export type Line = Readonly<Record<string, unknown>>

const TERM = /^jsonPayload\.([A-Za-z_.]+)(=~|>=|<=|=|>|<|:)(.+)$/

/**
 * Whether a line passes a filter, for the part of the Logging query language that our files use: comparisons of fields of
 * `jsonPayload` joined by AND (https://cloud.google.com/logging/docs/view/logging-query-language).
 * @throws Error for anything else, so that a filter that is not understood is not taken for one that fits
 */
export function passes(filter: string, line: Line): boolean {
  return filter.split(' AND ').every((term) => {
    const [, field = '', operator, literal = ''] = TERM.exec(term.trim()) ?? []
    if (operator === undefined) throw new Error(`this term is not understood: ${term}`)
    const value = field.split('.').reduce<unknown>((at, name) => (at as Line | undefined)?.[name], line)
    return value !== undefined && holds(value, operator, literal)
  })
}

function holds(value: unknown, operator: string, literal: string): boolean {
  if (operator === ':') return literal === '*'
  if (!literal.startsWith('"')) {
    const [left, right] = [Number(value), Number(literal)]
    if (operator === '>=') return left >= right
    if (operator === '>') return left > right
    if (operator === '<=') return left <= right
    if (operator === '<') return left < right
    return left === right
  }
  const text = JSON.parse(literal) as string
  return operator === '=~' ? new RegExp(text).test(String(value)) : value === text
}

/** The fields of `jsonPayload` that a filter or an extractor names. */
export const fieldsOf = (text: string): string[] =>
  [...text.matchAll(/jsonPayload\.([A-Za-z_]+)/g)].map(([, name]) => name ?? '')
