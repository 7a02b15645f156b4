import { Counter, type Registry } from 'prom-client'
import { DROPPED, type Dropped } from '../whatsapp/dropped.ts'

/** Shows on `/metrics` how much of what strangers sent was not taken, by what; it names no session and no person. */
export function countDropped(registry: Registry): Dropped {
  const counter = new Counter({
    name: 'mooring_runner_dropped_total',
    help: 'What strangers sent that the sessions of this runner did not take, and records that went for it, by what.',
    labelNames: ['what'],
    registers: [registry],
  })
  for (const what of DROPPED) counter.inc({ what }, 0)
  return (what) => counter.inc({ what })
}
