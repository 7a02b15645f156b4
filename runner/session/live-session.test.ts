import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { blockOf } from '../runner.fixture.ts'
import { CREDS_KEY } from '../state/record.ts'
import { credsRecord } from '../state/testing.ts'
import { ME, sessionInHand, windowOf } from './live-session.fixture.ts'
import { MOVES, type Stage } from './stages.ts'

type InHand = Awaited<ReturnType<typeof sessionInHand>>

/** What may happen to a session in hand, in whatever order. Waiting is a happening of its own. */
const HAPPENINGS = {
  waits: ({ clock }) => clock.settle(),
  minute: ({ clock }) => clock.advance(60_000),
  rehydrate: ({ rehydrate }) => rehydrate(),
  connects: ({ live }) => live.connect(1),
  pairs: ({ live }) => live.connect(1, windowOf('w1')),
  pairs_by_code: ({ live }) => live.connect(1, windowOf('w2', { method: 'code', phone: '4915112345678' })),
  close: ({ live }) => live.closeSocket(),
  gives_up: ({ live }) => live.giveUpConnection('no frame for too long'),
  judged: ({ live }) => live.judged(),
  back_off: ({ live }) => live.backOff('unavailable'),
  block: ({ live }) => live.blockBy(blockOf('restricted', { untilMs: 5_060_000 })),
  begin_afresh: ({ live }) => live.beginAfresh(),
  archived: ({ live }) => live.archived({ snapshot: 's', jid: undefined, linked: true }),
  linked_elsewhere: async ({ live }) => {
    await live.state?.journal.set([[CREDS_KEY, credsRecord()]])
    live.exchanged()
  },
  exchanged: ({ live }) => live.exchanged(),
  starts_over: ({ live }) => live.startOver(),
  window_over: ({ live }) => live.endPairing('w1', 'nobody scanned the code in time'),
  unlinks: ({ live }) => live.superseded.begin(),
  settle: ({ live }) => live.settle(),
  unload: ({ live }) => live.unload(),
  drop: ({ live }) => live.drop('lease_lost'),
} satisfies Record<string, (one: InHand) => unknown>

/** What a connection says, the present one or one of those before: nobody tells them to be silent. */
const SAYS = {
  qr: ({ events }) => events.qr('text', 60_000),
  paired: ({ events }) => events.paired(),
  open: ({ events }) => events.open(ME),
  new_secret: ({ events }) => events.secretChanged(),
  new_code: ({ events }) => events.codeOutdated(),
  lost: ({ events }) => events.closed({ by: 'server', status: 428, message: 'Connection Terminated' }),
  logged_out: ({ events }) => events.closed({ by: 'server', status: 401, message: 'Connection Failure' }),
  acknowledged: ({ events }) => events.acknowledged('3EB0', undefined),
} satisfies Record<string, (connection: InHand['dialled'][number]) => void>

/** What brings a session on its way comes more often than what ends it. */
const OFTEN: Readonly<Record<string, number>> = { waits: 8, connects: 4, pairs: 3, rehydrate: 3, judged: 3 }
const happening = fc.oneof(
  ...Object.keys(HAPPENINGS).map((name) => ({
    weight: OFTEN[name] ?? 1,
    arbitrary: fc.constant({ name, back: 0 }),
  })),
)
const saying = fc.record({
  name: fc.constantFrom('open', 'qr', ...Object.keys(SAYS)),
  back: fc.constantFrom(0, 0, 0, 1, 2),
})
const anyHappening = fc.oneof({ weight: 2, arbitrary: happening }, { weight: 1, arbitrary: saying })

/** A step that goes on with a session which was dropped or settled meanwhile. */
const REFUSED: ReadonlySet<unknown> = new Set(['lease_lost', 'closed'])
const isRefusal = (error: unknown): boolean =>
  REFUSED.has((error as { code?: string }).code) || /makes no move/.test((error as Error).message)

/** Which stage may follow which, whatever move it was. */
const FOLLOWS = new Set(
  Object.values(MOVES).flatMap((row) =>
    Object.entries<readonly Stage[]>(row).flatMap(([from, targets]) =>
      targets.map((to) => `${from} → ${to}`),
    ),
  ),
)

/** What must be true in every moment. Answers the stage. */
function expectPossible({ live, dialled }: InHand): Stage {
  const { stage, state, connection, pairing, retry, pendingVerdict, identity } = live
  const isConnected = connection.is !== 'none'
  expect(isConnected && !state, 'a connection without a state').toBe(false)
  expect(isConnected && pendingVerdict !== undefined, 'a connection before the last close was judged').toBe(
    false,
  )
  expect(isConnected && retry.block !== undefined, 'a connection of a blocked session').toBe(false)
  expect(pairing.shown !== undefined && stage !== 'connecting', 'a code without its connection').toBe(false)
  expect(pairing.shown !== undefined && identity.paired, 'a code of a session that is linked').toBe(false)
  expect(
    pairing.shown && pairing.shown.windowId === pairing.endedWindowId,
    'a code of a window that is over',
  ).not.toBe(true)
  expect(state === undefined, `a state of a session that is ${stage}`).toBe(
    stage === 'bare' || stage === 'rehydrating' || stage === 'dropped',
  )
  expect(isConnected, `a connection of a session that is ${stage}`).toBe(
    stage === 'connecting' || stage === 'open' || stage === 'closing',
  )
  const held = dialled.filter(({ isEnded, events }) => !isEnded && !ended.has(events))
  expect(held.length, 'connections at once').toBeLessThanOrEqual(1)
  return stage
}

/** Connections that ended by the word of the other side. */
const ended = new WeakSet<object>()

describe('a session in hand', () => {
  test('is never in an impossible state, whatever comes in whatever order', async () => {
    const seen = new Set<Stage>()
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.boolean(),
        fc.array(anyHappening, { minLength: 1, maxLength: 25 }),
        async (paired, isRehydrated, happenings) => {
          const one = await sessionInHand({ paired })
          if (isRehydrated) await one.rehydrate()
          const underWay: Promise<unknown>[] = []
          for (const { name, back } of happenings) {
            const before = one.live.stage
            try {
              if (name in SAYS) {
                const connection = one.dialled.at(-1 - back)
                if (connection) {
                  SAYS[name as keyof typeof SAYS](connection)
                  if (name === 'lost' || name === 'logged_out') ended.add(connection.events)
                }
              } else {
                const did = HAPPENINGS[name as keyof typeof HAPPENINGS](one)
                if (name === 'waits' || name === 'minute') await did
                else if (did instanceof Promise)
                  underWay.push(did.catch((error: unknown) => expect(error).toSatisfy(isRefusal)))
              }
            } catch (error) {
              expect(error).toSatisfy(isRefusal)
              expect(one.live.stage).toBe(before)
            }
            const after = expectPossible(one)
            seen.add(after)
            const waited = name === 'waits' || name === 'minute'
            // A connection may begin with the end of a block.
            const from = before === 'blocked' && after === 'connecting' ? 'ready' : before
            if (after !== before && !waited) expect(FOLLOWS).toContain(`${from} → ${after}`)
          }
          await one.clock.advance(60_000)
          await Promise.all(underWay)
          expectPossible(one)
        },
      ),
      { numRuns: 300 },
    )
    expect(seen.size).toBe(10)
  })
})

test('a connection that says twice that it is open, while it is being ended, harms nothing', async () => {
  const handedOver = Promise.withResolvers<void>()
  const { live, rehydrate, latest } = await sessionInHand({
    paired: true,
    socket: { handOver: () => handedOver.promise },
  })
  await rehydrate()
  live.connect(1)
  const closing = live.closeSocket()
  latest().open(ME)
  latest().open(ME)
  expect(live.stage).toBe('closing')
  handedOver.resolve()
  await closing
  expect(live.stage).toBe('ready')
})

describe('a code that is shown', () => {
  test('is none of a window that is over, though its connection is there still', async () => {
    const { live, clock, rehydrate, latest } = await sessionInHand()
    await rehydrate()
    live.connect(1, windowOf('w1'))
    live.endPairing('w1', 'nobody finished it')
    latest().qr('a code', 20_000)
    await clock.settle()
    expect([live.stage, live.pairing.shown]).toEqual(['connecting', undefined])
  })

  test('is hidden as soon as the connection behind it is over, and not shown after that', async () => {
    const { live, clock, rehydrate, latest } = await sessionInHand()
    await rehydrate()
    live.connect(1, windowOf('w1'))
    const first = latest()
    first.qr('one', 60_000)
    await clock.settle()
    expect(live.pairing.shown).toMatchObject({ windowId: 'w1', qr: 'one' })
    first.qr('two', 20_000)
    first.closed({ by: 'server', status: 428, message: 'Connection Terminated' })
    await clock.settle()
    expect(live.pairing.shown).toBeUndefined()
  })

  test('is none where somebody scanned while it was made durable', async () => {
    const { live, clock, rehydrate, latest } = await sessionInHand()
    await rehydrate()
    live.connect(1, windowOf('w1'))
    latest().qr('one', 60_000)
    latest().paired()
    await clock.settle()
    expect([live.pairing.shown, live.pairing.endedWindowId]).toEqual([undefined, 'w1'])
  })

  test('is none where the connection ended while WhatsApp made the code', async () => {
    const code = Promise.withResolvers<string>()
    const { live, clock, rehydrate, latest } = await sessionInHand({
      socket: { requestPairingCode: () => code.promise },
    })
    await rehydrate()
    live.connect(1, windowOf('w1', { method: 'code', phone: '4915112345678' }))
    latest().qr('one', 60_000)
    await clock.settle()
    latest().closed({ by: 'server', status: 428, message: 'Connection Terminated' })
    code.resolve('ABCD1234')
    await clock.settle()
    expect(live.pairing.shown).toBeUndefined()
  })
})

describe('a connection', () => {
  test('is begun by a blocked session once the time of its block is over, and the block is gone', async () => {
    const { live, clock, rehydrate } = await sessionInHand({ paired: true })
    await rehydrate()
    live.blockBy(blockOf('restricted', { untilMs: clock.monotonicMs() + 1_000 }))
    expect(() => live.connect(1)).toThrow('a session that is blocked makes no move connect')
    await clock.advance(1_000)
    live.connect(1)
    expect([live.stage, live.retry.block]).toEqual(['connecting', undefined])
  })

  test('that can’t even be begun leaves the session as it was', async () => {
    const { live, rehydrate, dialled } = await sessionInHand({
      paired: true,
      socket: new Proxy({}, REFUSING),
    })
    await rehydrate()
    expect(() => live.connect(1)).toThrow('no socket')
    expect([live.stage, dialled.length]).toEqual(['ready', 1])
  })

  test('E1 that is over says nothing about the one that followed', async () => {
    const { live, rehydrate, latest } = await sessionInHand({ paired: true })
    await rehydrate()
    live.connect(1)
    const before = latest()
    await live.closeSocket()
    live.connect(2)
    before.closed({ by: 'server', status: 440, conflict: 'replaced', message: 'Stream Errored (conflict)' })
    before.open(ME)
    expect([live.stage, live.pendingVerdict]).toEqual(['connecting', undefined])
  })

  test('that opens while it is closed opens no gate for messages, and leaves no late login behind', async () => {
    const closing = Promise.withResolvers<void>()
    const sent: string[] = []
    const { live, clock, rehydrate, latest, lateLogins } = await sessionInHand({
      paired: true,
      socket: {
        handOver: () => closing.promise,
        send: async ({ id }) => void sent.push(id),
      },
    })
    await rehydrate()
    live.connect(1)
    const closed = live.closeSocket()
    await clock.settle()
    latest().open(ME)
    expect(live.stage).toBe('closing')
    closing.resolve()
    await closed
    expect([live.stage, sent, lateLogins.isOpen(live.key, clock.monotonicMs())]).toEqual(['ready', [], false])
  })

  test('an event that makes no sense is logged, and nothing becomes of it', async () => {
    const { live, rehydrate, latest, lines } = await sessionInHand({ paired: true })
    await rehydrate()
    live.connect(1)
    latest().open(ME)
    latest().open(ME)
    expect(live.stage).toBe('open')
    expect(lines).toMatchObject([{ event: 'opened', stage: 'open' }])
  })
})

/** Options whose reading fails, as a constructor of the library may. */
const REFUSING: ProxyHandler<object> = {
  ownKeys: () => {
    throw new Error('no socket')
  },
}
