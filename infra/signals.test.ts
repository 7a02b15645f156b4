/**
 * Nobody is woken by a filter that no line passes, and nothing but this says so: the files are valid either way. So a real
 * runner is led through everything that an alert stands on, and its lines go through the filters as written.
 */

import { testBodies } from '#test/bodies.ts'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { Runner } from '#runner/runner.ts'
import { WATCHDOG_TIMES } from '#runner/session/watchdog.ts'
import { logFallback } from '#runner/loop/log-lines.ts'
import { noUnlink, socketOf } from '#runner/runner.fixture.ts'
import type { CloseReport, OpenSocketAsk } from '#runner/whatsapp/socket.ts'
import { CodedError } from '#shared/errors.ts'
import { sessionKey, type SessionKey } from '#shared/ids.ts'
import { createLog } from '#shared/log.ts'
import { seededRandom } from '#shared/random.ts'
import type { RunnerStore } from '#shared/store/runner-store.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { newSession } from '#test/contract/samples.ts'
import { fakeClock, type FakeClock } from '#test/fake-clock.ts'
import { MemoryDatabase } from '#test/simulation/memory/database.ts'
import { memoryStores } from '#test/simulation/memory/stores.ts'
import { asBody, asList, readTerraform, resourcesOf, type Body } from './hcl.ts'
import { fieldsOf, passes, type Line } from './log-filter.ts'

interface Signal {
  name: string
  filter: string
}
const SIGNALS = JSON.parse(readFileSync(join(import.meta.dirname, 'signals.json'), 'utf8')) as Signal[]

const LEASE = { renewEveryMs: 2_500, renewWithinMs: 6_500, leaseForMs: 10_000 }
const BY_SERVER = { by: 'server' } as const
const DOWN = { ...BY_SERVER, status: 503, message: 'down' }
/** What the server says to each session, one close after the other. */
const FATES: Record<string, readonly CloseReport[]> = {
  failing: [DOWN, DOWN, DOWN, DOWN],
  rival: [{ ...BY_SERVER, status: 440, message: 'conflict', conflict: 'replaced' }],
  unlinked: [{ ...BY_SERVER, status: 401, message: 'logged out' }],
  banned: [{ ...BY_SERVER, status: 403, message: 'forbidden' }],
  restricted: [{ ...BY_SERVER, status: 402, message: 'banned for a while', attributes: { expire: '3600' } }],
  refused: Array.from({ length: 3 }, () => ({ ...BY_SERVER, status: 409, message: 'no' })),
  old: [{ ...BY_SERVER, status: 405, message: 'outdated' }],
}

let lines: Line[] = []
let metrics: Body[] = []
beforeAll(async () => {
  lines = await livedThrough()
  const files = await readTerraform(import.meta.dirname)
  const locals = Object.assign({}, ...asList(files.get('metrics.tf')?.['locals']).map(asBody)) as Body
  const distributions = Object.values(asBody(locals['_distributions'])).map(asBody)
  const beats = resourcesOf(files).find(({ name }) => name === 'runner_beats')
  metrics = [...distributions, ...(beats ? [beats.body] : [])]
})

const found = (filter: string): Line[] => lines.filter((line) => passes(filter, line))
/** Without what the resource type is, which no line knows of itself. */
const ownPart = (filter: unknown): string => String(filter).replace('${local._of_mooring} AND ', '')

describe('an alert', () => {
  test.for(SIGNALS)(
    'on $name is raised by a line that a runner writes, and names session and tenant',
    ({ filter }) => {
      const hits = found(filter)
      expect(hits.length).toBeGreaterThan(0)
      const ofSession = hits.filter(({ code }) => code !== 'lease_lost')
      for (const hit of ofSession)
        expect(hit).toMatchObject({ sessionId: expect.stringMatching(/^acme~/), tenant: 'acme' })
      for (const hit of ofSession) expect(hit['why']).toEqual(expect.any(String))
    },
  )

  test('on a failing session is raised by the fourth failure in a row, not by the third', () => {
    const { filter = '' } = SIGNALS.find(({ name }) => name === 'session_failing') ?? {}
    expect(found(filter).map(({ sessionId, attempts }) => [sessionId, attempts])).toEqual([
      ['acme~failing', 4],
    ])
  })

  test('on a session that needs a person is raised by each phase that it lists', () => {
    const { filter = '' } = SIGNALS.find(({ name }) => name === 'session_needs_person') ?? {}
    const phases = new Set(found(filter).map(({ phase }) => phase))
    expect(phases).toEqual(new Set(['logged_out', 'banned', 'restricted', 'failed']))
  })
})

describe('a metric', () => {
  test('is taken from lines that a runner writes, and from a number in them', () => {
    expect(metrics).toHaveLength(4)
    for (const { filter, value } of metrics) {
      const hits = found(ownPart(filter))
      if (hits.length === 0) throw new Error(`no line passes ${String(filter)}`)
      const [field] = fieldsOf(typeof value === 'string' ? value : '')
      if (field !== undefined) for (const hit of hits) expect(hit[field]).toEqual(expect.any(Number))
    }
  })

  test('of the heartbeat is one a minute, from the start on', () => {
    const beats = found('jsonPayload.component="runner" AND jsonPayload.message="runner beat"')
    expect(beats.length).toBeGreaterThan(2)
    expect(beats.at(-1)).toMatchObject({ severity: 'INFO', held: expect.any(Number) })
    const margin = Number(beats[1]?.['leaseMarginMs'])
    expect(margin).toBeGreaterThan(LEASE.renewWithinMs - 2 * LEASE.renewEveryMs)
    expect(margin).toBeLessThan(LEASE.renewWithinMs - LEASE.renewEveryMs / 2)
  })
})

/** Everything that a runner writes while its sessions meet their fates and its store goes away for a while. */
async function livedThrough(): Promise<Line[]> {
  const clock = fakeClock()
  const written: string[] = []
  vi.spyOn(pino, 'destination').mockReturnValue({ write: (line: string) => void written.push(line) } as never)
  const log = createLog({ level: 'info', pretty: false, service: 'mooring-runner', version: '0' }).child({
    component: 'runner',
  })
  const stores = memoryStores(new MemoryDatabase(() => clock.nowMs()))
  const away: Script<RunnerStore> = {}
  const asked = new Map<SessionKey, OpenSocketAsk>()
  const runner = new Runner({
    bodies: testBodies(),
    stores: { ...stores, runners: faulty(stores.runners, away) },
    clock,
    random: seededRandom(1),
    log,
    openSocket: (ask) => {
      asked.set(ask.state.key, ask)
      return socketOf()
    },
    unlinkDevice: noUnlink,
    workingCopies: forgetful,
    settings: {
      name: 'test',
      version: '0',
      workDir: '',
      lease: LEASE,
      watchdog: WATCHDOG_TIMES,
      resyncEveryMs: 120_000,
      connectsPerSecond: 1_000,
      connectingMax: 100,
      capacity: 100,
      rebalancePerMinute: 0,
      reconcile: true,
    },
  })
  await runner.start()
  for (const [name, closes] of Object.entries(FATES)) await live(name, closes)
  logFallback(log, {
    key: sessionKey('acme' as never, 'damaged' as never),
    base: 'snapshot',
    seq: 3,
    why: 'gap',
  })
  await clock.advance(130_000)
  away.renew = { kind: 'fail_before', error: new CodedError('store_unavailable', 'away') }
  await clock.advance(10_000)
  delete away.renew
  await clock.advance(5_000)
  void runner.stop()
  await clock.advance(20_000)
  return written.map((line) => JSON.parse(line) as Line)

  async function live(name: string, closes: readonly CloseReport[]): Promise<void> {
    const session = newSession('acme', name)
    const openedAtMs = clock.nowMs()
    const pairing = {
      id: name,
      method: 'qr',
      openedAtMs,
      expiresAtMs: openedAtMs + 180_000,
      replace: false,
    } as const
    await stores.sessions.create({ ...session, want: { ...session.want, pairing } })
    const key = sessionKey(session.tenant, session.id)
    let { events } = await opened(key, clock, undefined)
    events.paired()
    events.closed({ ...BY_SERVER, status: 515, message: 'restart required' })
    for (const close of closes) {
      const before = events
      ;({ events } = await opened(key, clock, before))
      if (close === closes[0]) events.open({ jid: '4915112345678:1@s.whatsapp.net' })
      await clock.advance(100)
      events.closed(close)
    }
    await clock.advance(100)
  }

  async function opened(key: SessionKey, clock: FakeClock, before: OpenSocketAsk['events'] | undefined) {
    for (let waitedMs = 0; waitedMs < 120_000; waitedMs += 100) {
      const ask = asked.get(key)
      if (ask && ask.events !== before) return ask
      await clock.advance(100)
    }
    throw new Error(`no connection for ${key}`)
  }
}

/** A disk that keeps nothing. */
const forgetful = {
  load: async () => undefined,
  keys: async () => [],
  rebase: async () => undefined,
  append: () => undefined,
  drop: async () => undefined,
  settle: async () => undefined,
}
