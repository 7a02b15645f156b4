import { setLogFunction } from '@google-cloud/firestore'
import type { CompositeIndex, FieldOverride } from '#shared/google/indexes.ts'

interface Order {
  fieldPath: string
  order: 'ASCENDING' | 'DESCENDING'
}

/** What a query needs: its collection, the fields it compares with a value, and those it orders by, in order. */
export interface Needed {
  collection: string
  equal: string[]
  ordered: Order[]
}

interface Field {
  fieldPath: string
}
interface FieldFilter {
  field: Field
  op: string
}
interface Filter {
  fieldFilter?: FieldFilter
  unaryFilter?: FieldFilter
  compositeFilter?: { filters: Filter[] }
}
interface StructuredQuery {
  from: { collectionId: string }[]
  where?: Filter
  orderBy?: { field: Field; direction: 'ASCENDING' | 'DESCENDING' }[]
}

interface Aggregation {
  structuredQuery: StructuredQuery
  aggregations: { sum?: { field: Field } }[]
}

/** Listens to the client's own log: what it says it sends is what the server would need an index for. */
export async function queriesOf(work: () => Promise<void>): Promise<Needed[]> {
  const found = new Map<string, Needed>()
  setLogFunction((line) => {
    const sent = /Sending request: (\{.*\})\s*$/s.exec(line)?.[1]
    if (sent === undefined || !sent.includes('"structuredQuery"')) return
    const query = find(JSON.parse(sent))
    if (query) found.set(JSON.stringify(needed(query)), needed(query))
  })
  try {
    await work()
  } finally {
    setLogFunction(null)
  }
  return [...found.values()]
}

function find(value: unknown): StructuredQuery | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if ('structuredAggregationQuery' in value) {
    const { structuredQuery, aggregations } = value.structuredAggregationQuery as Aggregation
    // A sum is read from the index, which therefore has to hold the field: https://cloud.google.com/firestore/docs/query-data/aggregation-queries#limitations
    const summed = aggregations.flatMap(({ sum }) => (sum ? [sum.field] : []))
    return { ...structuredQuery, orderBy: summed.map((field) => ({ field, direction: 'ASCENDING' })) }
  }
  if ('structuredQuery' in value) return value.structuredQuery as StructuredQuery
  for (const inner of Object.values(value)) {
    const query = find(inner)
    if (query) return query
  }
  return undefined
}

const leaves = (filter: Filter | undefined): FieldFilter[] =>
  filter?.compositeFilter?.filters.flatMap(leaves) ??
  [filter?.fieldFilter ?? filter?.unaryFilter ?? []].flat()

function needed(query: StructuredQuery): Needed {
  const filters = leaves(query.where).filter(({ field }) => field.fieldPath !== '__name__')
  const equal = filters.filter(({ op }) => op === 'EQUAL').map(({ field }) => field.fieldPath)
  const orders = (query.orderBy ?? []).map(({ field, direction }) => ({ ...field, order: direction }))
  const ordered = orders.filter(({ fieldPath }) => fieldPath !== '__name__')
  for (const { field } of filters.filter(({ op }) => op !== 'EQUAL')) {
    if (!ordered.some(({ fieldPath }) => fieldPath === field.fieldPath)) {
      ordered.unshift({ fieldPath: field.fieldPath, order: 'ASCENDING' })
    }
  }
  return { collection: query.from[0]?.collectionId ?? '', equal, ordered }
}

/** Whether one of the indexes serves the query: equal fields first, in any order, then the ordered ones as they are. */
export function isServed(
  { collection, equal, ordered }: Needed,
  all: { indexes: CompositeIndex[]; fieldOverrides: FieldOverride[] },
): boolean {
  const total = equal.length + ordered.length
  if (total === 0) return true
  if (total === 1) {
    const [only] = [...equal, ...ordered.map(({ fieldPath }) => fieldPath)]
    const order = ordered[0]?.order ?? 'ASCENDING'
    const overrides = all.fieldOverrides.filter(({ collectionGroup }) => collectionGroup === collection)
    return overrides.some(
      ({ fieldPath, indexes }) => fieldPath === only && indexes.some((index) => index.order === order),
    )
  }
  return all.indexes.some(({ collectionGroup, fields }) => {
    if (collectionGroup !== collection || fields.length !== total) return false
    const first = fields.slice(0, equal.length).map(({ fieldPath }) => fieldPath)
    const rest = fields.slice(equal.length)
    return equal.every((name) => first.includes(name)) && JSON.stringify(rest) === JSON.stringify(ordered)
  })
}
