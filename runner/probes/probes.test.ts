import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import pino from 'pino'
import { systemClock } from '#shared/clock.ts'
import { CodedError } from '#shared/errors.ts'
import { countOperations } from '#shared/store-metrics.ts'
import type { Late } from '../loop/late.ts'
import { measureLate } from './late-metrics.ts'
import { createProbes } from './probes.ts'

function begin(state: { isRunning: boolean; stores?: Error; late?: readonly Late[] }) {
  const registry = new Registry()
  const app = createProbes({
    stores: { check: () => (state.stores ? Promise.reject(state.stores) : Promise.resolve()) },
    clock: systemClock,
    log: pino({ level: 'silent' }),
    version: '1.2.3',
    registry,
    isRunning: () => state.isRunning,
    isStatusLate: () => state.late?.some(({ what }) => what === 'status') === true,
  })
  return { app, registry }
}

test('a runner is alive at once, and ready when it has begun and its stores answer', async () => {
  const state = { isRunning: false }
  const { app } = begin(state)
  expect((await app.request('/health/live')).status).toBe(200)
  expect((await app.request('/health/ready')).status).toBe(503)
  state.isRunning = true
  const ready = await app.request('/health/ready')
  expect([ready.status, await ready.json()]).toEqual([
    200,
    { status: 'ready', stores: 'ok', version: '1.2.3' },
  ])
})

test('a runner whose stores are away says so by a code, and is alive all the same', async () => {
  const { app } = begin({ isRunning: true, stores: new CodedError('store_unavailable', 'project p, secret') })
  const ready = await app.request('/health/ready')
  expect([ready.status, await ready.json()]).toMatchObject([503, { stores: 'store_unavailable' }])
  expect((await app.request('/health/live')).status).toBe(200)
})

test('a runner that can’t write the statuses of its sessions is not ready, though its stores answer', async () => {
  const { app } = begin({ isRunning: true, late: [{ what: 'status', sessions: 3, oldestMs: 61_000 }] })
  const ready = await app.request('/health/ready')
  expect([ready.status, await ready.json()]).toMatchObject([503, { stores: 'status_late' }])
})

test('a runner serves what waits of its sessions as it is now, and names none of them', async () => {
  const late: Late[] = [{ what: 'inbox', sessions: 2, oldestMs: 61_500 }]
  const { app, registry } = begin({ isRunning: true })
  measureLate(registry, () => late)
  const text = async (): Promise<string> => (await app.request('/metrics')).text()
  expect(await text()).toContain('mooring_runner_waiting_sessions{what="inbox"} 2')
  expect(await text()).toContain('mooring_runner_waiting_seconds{what="inbox"} 61.5')
  expect(await text()).toContain('mooring_runner_waiting_sessions{what="status"} 0')
  late.pop()
  expect(await text()).toContain('mooring_runner_waiting_sessions{what="inbox"} 0')
})

test('a runner serves what its stores were billed, and no API', async () => {
  const { app, registry } = begin({ isRunning: true })
  const meter = countOperations('google', registry)
  meter.count('writes', 2, 'append a journal entry')
  meter.count('writes', 1, 'append a journal entry')
  const text = await (await app.request('/metrics')).text()
  expect(text).toContain(
    'mooring_store_operations_total{store="google",kind="writes",call="append a journal entry"} 3',
  )
  expect((await app.request('/v1/sessions')).status).toBe(404)
  expect((await app.request('/docs')).status).toBe(404)
})
