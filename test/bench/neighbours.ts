import { join } from 'node:path'
import { KEY, startMooring, startStandIn, withTempDir } from './processes.ts'
import { percentile, type Figure } from './report.ts'

/** Requests of the quiet tenant per measurement, one every so often: a p99 of them is the fifth slowest. */
const REQUESTS = 500
const EVERY_MS = 15
/** Keys of the tenant that floods; each has as many requests under way as its client makes without waiting. */
const KEYS = 10
const AT_ONCE = 8

/** How long a quiet tenant waits for its answers, alone and while another asks for all that it may and more. */
export async function benchNeighbours(): Promise<readonly Figure[]> {
  return withTempDir(async (dir) => {
    const standIn = await startStandIn()
    const mooring = startMooring({
      dataDir: join(dir, 'data'),
      workDir: join(dir, 'work'),
      url: standIn.url,
    })
    try {
      const { line } = await mooring.line((one) => one['message'] === 'listening')
      const ask = async (key: string, method: string, path: string, body?: object) => {
        const answer = await fetch(`http://127.0.0.1:${String(line['port'])}${path}`, {
          method,
          headers: { 'x-api-key': key, 'content-type': 'application/json' },
          ...(body && { body: JSON.stringify(body) }),
        })
        return { status: answer.status, text: await answer.text() }
      }
      const keyOf = async (tenant: string): Promise<string> => {
        const made = await ask(KEY, 'POST', '/v1/keys', {
          tenant,
          name: 'bench',
          scopes: ['read', 'send', 'control'],
        })
        return (JSON.parse(made.text) as { key: string }).key
      }
      for (const id of ['quiet', 'greedy']) {
        await ask(KEY, 'POST', '/v1/tenants', { id, name: id })
        await ask(await keyOf(id), 'POST', '/v1/sessions', { id: 's', want: { state: 'stopped' } })
      }
      const quiet = await keyOf('quiet')
      const send = (key: string, length: number) =>
        ask(key, 'POST', '/v1/sessions/s/messages', { to: '491700000001', text: 'x'.repeat(length) })
      const measure = async (): Promise<number[]> => {
        const tookMs: number[] = []
        for (let at = 0; at < REQUESTS; at++) {
          const startMs = performance.now()
          await (at % 2 === 0 ? send(quiet, 20) : ask(quiet, 'GET', '/v1/sessions/s'))
          tookMs.push(performance.now() - startMs)
          await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
        }
        return tookMs
      }
      // What is compiled and cached first is nobody's wait later.
      await measure()
      const alone = percentile(await measure(), 0.99)

      let isOver = false
      let asked = 0
      const keys = await Promise.all(Array.from({ length: KEYS }, () => keyOf('greedy')))
      const flood = async (key: string): Promise<void> => {
        while (!isOver) {
          await (asked++ % 2 === 0 ? send(key, 10_000) : ask(key, 'GET', '/v1/sessions?limit=500'))
        }
      }
      const flooding = keys.flatMap((key) => Array.from({ length: AT_ONCE }, () => flood(key)))
      const beside = percentile(await measure(), 0.99)
      isOver = true
      await Promise.all(flooding)
      return [
        {
          name: 'answers to a quiet tenant, p99, while another floods',
          value: `${beside.toFixed(1)} ms`,
          goal: `≤ ${(2 * alone + 50).toFixed(1)} ms`,
          note: `${alone.toFixed(1)} ms alone; twice that and 50 ms more is the goal. The other asked ${asked} times`,
        },
      ]
    } finally {
      await mooring.kill('SIGKILL')
      await standIn.program.kill('SIGTERM')
    }
  })
}
