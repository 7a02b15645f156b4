import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Clock } from '#shared/clock.ts'
import { PHASES, WAITABLE } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { Fleet } from './fleet.ts'
import { phaseNow } from '../present/present.ts'
import { ownedSessions } from './scan.ts'

/** Counting reads every session, so several scrapers share one count. */
const COUNT_FOR_MS = 15_000

export interface Metrics {
  registry: Registry
  /** `route` is the pattern, never the address: addresses hold names. */
  observe(request: { method: string; route: string; status: number; seconds: number }): void
  /** A quota has refused something; whose it was stays out, since tenants are many. */
  refused(quota: string): void
  /** Brings the gauges up to date, at most every 15 s. */
  count(): Promise<void>
}

export function createMetrics(options: {
  stores: Stores
  fleet: Fleet
  clock: Clock
  /** What is open in this process. */
  open: () => { streams: number; uploads: number }
  registry?: Registry
}): Metrics {
  const { stores, fleet, clock, open, registry = new Registry() } = options
  const registers = [registry]
  const requests = new Counter({
    name: 'mooring_http_requests_total',
    help: 'Requests answered by the control API.',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const seconds = new Histogram({
    name: 'mooring_http_request_seconds',
    help: 'How long the control API took.',
    labelNames: ['method', 'route'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  })
  const sessions = new Gauge({
    name: 'mooring_sessions',
    help: 'Sessions by phase.',
    labelNames: ['phase'],
    registers,
  })
  const waiting = new Gauge({
    name: 'mooring_sessions_waiting',
    help: 'Sessions of which something waits, as their owners told last, by what.',
    labelNames: ['what'],
    registers,
  })
  const refusals = new Counter({
    name: 'mooring_quota_refusals_total',
    help: 'Requests that a quota has refused, by the quota.',
    labelNames: ['quota'],
    registers,
  })
  const streams: Gauge = new Gauge({
    name: 'mooring_streams_open',
    help: 'Event streams that this process holds open.',
    registers,
    collect: () => streams.set(open().streams),
  })
  const uploads: Gauge = new Gauge({
    name: 'mooring_uploads_open',
    help: 'Uploads on their way into this process, or waiting for their turn.',
    registers,
    collect: () => uploads.set(open().uploads),
  })
  const runners = new Gauge({
    name: 'mooring_runners',
    help: 'Runners whose lease is good, by whether they drain.',
    labelNames: ['draining'],
    registers,
  })
  let countedAtMs = -Infinity

  return {
    registry,
    observe({ method, route, status, seconds: took }) {
      requests.inc({ method, route, status: String(status) })
      seconds.observe({ method, route }, took)
    },
    refused: (quota) => refusals.inc({ quota }),
    async count() {
      const nowMs = clock.monotonicMs()
      if (nowMs - countedAtMs < COUNT_FOR_MS) return
      const view = await fleet.view()
      const counts = new Map<string, number>(PHASES.map((phase) => [phase, 0]))
      const waits = new Map<string, number>(WAITABLE.map((what) => [what, 0]))
      for await (const [session, owner] of ownedSessions(stores)) {
        const { phase } = phaseNow(session, owner, view)
        counts.set(phase, (counts.get(phase) ?? 0) + 1)
        for (const { what } of session.status?.waiting ?? []) waits.set(what, (waits.get(what) ?? 0) + 1)
      }
      for (const [phase, number] of counts) sessions.set({ phase }, number)
      for (const [what, number] of waits) waiting.set({ what }, number)
      const alive = view.runners.filter((runner) => runner.alive)
      for (const draining of [true, false]) {
        runners.set(
          { draining: String(draining) },
          alive.filter((runner) => runner.draining === draining).length,
        )
      }
      countedAtMs = nowMs
    },
  }
}
