import { expect, test } from 'vitest'
import { controlWorld } from '../control.fixture.ts'
import { traceFields } from './trace.ts'

const ID = '0af7651916cd43dd8448eb211c80319c'
const TRACE = 'logging.googleapis.com/trace'
const SPAN = 'logging.googleapis.com/spanId'
const SAMPLED = 'logging.googleapis.com/trace_sampled'

const rows: readonly [says: string, headers: Record<string, string>, fields: object][] = [
  [
    'W3C, sampled',
    { traceparent: `00-${ID}-b7ad6b7169203331-01` },
    { [TRACE]: `projects/harbour/traces/${ID}`, [SPAN]: 'b7ad6b7169203331', [SAMPLED]: true },
  ],
  [
    'W3C, not sampled',
    { traceparent: `00-${ID}-b7ad6b7169203331-00` },
    { [TRACE]: `projects/harbour/traces/${ID}`, [SPAN]: 'b7ad6b7169203331', [SAMPLED]: false },
  ],
  [
    "Google's own, its span turned into hex",
    { 'x-cloud-trace-context': `${ID}/255;o=1` },
    { [TRACE]: `projects/harbour/traces/${ID}`, [SPAN]: '00000000000000ff', [SAMPLED]: true },
  ],
  [
    "Google's own without a span",
    { 'x-cloud-trace-context': ID },
    { [TRACE]: `projects/harbour/traces/${ID}`, [SAMPLED]: false },
  ],
  [
    'W3C before the other',
    { traceparent: `00-${ID}-b7ad6b7169203331-01`, 'x-cloud-trace-context': `${'f'.repeat(32)}/1` },
    { [TRACE]: `projects/harbour/traces/${ID}`, [SPAN]: 'b7ad6b7169203331', [SAMPLED]: true },
  ],
  ['none', {}, {}],
  ['one that makes no sense', { traceparent: 'projects/x', 'x-cloud-trace-context': '../../etc' }, {}],
]
test.for(rows)('a trace is read: %s', ([, headers, fields]) => {
  expect(traceFields('harbour', (name) => headers[name])).toEqual(fields)
})

test('without a project there is no trace to file a line under', () => {
  expect(traceFields(undefined, () => `00-${ID}-b7ad6b7169203331-01`)).toEqual({})
})

test('every line of a request, refusals too, has its trace, its id and the session that it was about', async () => {
  await using world = await controlWorld({ project: 'harbour' })
  const headers = { traceparent: `00-${ID}-b7ad6b7169203331-01` }
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'shop' } })
  const { headers: answered } = await world.ask('POST', '/v1/sessions/shop/stop?tenant=acme', { headers })
  const lines = world
    .logged()
    .split('\n')
    .filter((line) => line.includes(ID))
    .map((line) => JSON.parse(line) as object)
  expect(lines).toMatchObject([
    {
      component: 'control',
      [TRACE]: `projects/harbour/traces/${ID}`,
      requestId: answered.get('x-request-id'),
      sessionId: 'acme~shop',
    },
  ])
})
