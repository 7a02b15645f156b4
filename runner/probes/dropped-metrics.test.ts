import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { DROPPED } from '../whatsapp/dropped.ts'
import { countDropped } from './dropped-metrics.ts'

test('F3: what was not taken is counted by what it is, from the start on', async () => {
  const registry = new Registry()
  const dropped = countDropped(registry)
  dropped('retry')
  dropped('retry')
  const text = await registry.metrics()
  expect(text).toContain('mooring_runner_dropped_total{what="retry"} 2')
  for (const what of DROPPED) expect(text).toContain(`mooring_runner_dropped_total{what="${what}"}`)
})
