import { Gauge, type Registry } from 'prom-client'
import { LATE_KINDS, type Late } from '../loop/late.ts'

/** Shows on `/metrics` what waits for too long, as it is when somebody asks; it names no session. */
export function measureLate(registry: Registry, late: () => readonly Late[]): void {
  const of = (what: Late['what']): Late | undefined => late().find((one) => one.what === what)
  const gauge = (name: string, help: string, valueOf: (one: Late | undefined) => number): void => {
    const made = new Gauge({
      name,
      help,
      labelNames: ['what'],
      registers: [registry],
      collect: () => {
        for (const what of LATE_KINDS) made.set({ what }, valueOf(of(what)))
      },
    })
  }
  gauge(
    'mooring_runner_waiting_sessions',
    'Sessions of this runner of which something has waited for longer than a minute, by what.',
    (one) => one?.sessions ?? 0,
  )
  gauge(
    'mooring_runner_waiting_seconds',
    'How long the first of them has waited; 0 while none has for a minute.',
    (one) => (one?.oldestMs ?? 0) / 1000,
  )
}
