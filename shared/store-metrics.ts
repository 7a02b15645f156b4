import { Counter, type Registry } from 'prom-client'
import type { Meter } from './google/meter.ts'

/** Counts what a set of stores is billed for, for `/metrics`. `call` is one of some fifty constant names. */
export function countOperations(store: string, registry: Registry): Meter {
  const operations = new Counter({
    name: 'mooring_store_operations_total',
    help: 'Operations that the provider of the stores bills by the piece, by kind and by the call that needed them.',
    labelNames: ['store', 'kind', 'call'],
    registers: [registry],
  })
  return { count: (kind, pieces, call) => operations.inc({ store, kind, call }, pieces) }
}
