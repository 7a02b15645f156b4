import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { blockOf } from '../runner.fixture.ts'
import type { LiveSession } from './live-session.ts'
import { ME, sessionInHand, windowOf } from './live-session.fixture.ts'
import { leadsTo, makeMove, MOVES, STAGES, type Move, type Stage } from './stages.ts'

const moves = Object.keys(MOVES) as Move[]
type InHand = Awaited<ReturnType<typeof sessionInHand>>

/** The table above the code, row by row: from → to, as a person reads it. */
function tableOfTheComment(): Record<string, Record<string, readonly string[]>> {
  const source = readFileSync(join(import.meta.dirname, 'stages.ts'), 'utf8')
  const rows = [...source.matchAll(/^ \* \| (\w+) +\| (.*?) +\|$/gm)].filter(([, move]) => move !== 'move')
  return Object.fromEntries(
    rows.map(([, move = '', text = '']) => [
      move,
      Object.fromEntries(
        text.split(', ').flatMap((part): [string, readonly string[]][] => {
          const [from = '', to] = part.replace(/ =$/, '').split(' → ')
          if (from === 'every stage') return STAGES.map((stage) => [stage, [to ?? stage]])
          return [[from, to?.split(' or ') ?? [from]]]
        }),
      ),
    ]),
  )
}

describe('the table of stages and moves', () => {
  test('reads in the comment as it stands in the data', () => {
    expect(tableOfTheComment()).toEqual(MOVES)
  })

  test('leads to every stage, and from every stage', () => {
    const targets = new Set(moves.flatMap((move) => STAGES.flatMap((from) => leadsTo(move, from) ?? [])))
    expect(targets).toEqual(new Set(STAGES))
    for (const from of STAGES) expect(moves.filter((move) => leadsTo(move, from)).length).toBeGreaterThan(1)
  })

  test('a move that ends elsewhere than the table says is found out', () => {
    let stage: Stage = 'ready'
    const strays = (): void =>
      makeMove(
        'connect',
        () => stage,
        () => void (stage = 'open'),
      )
    expect(strays).toThrow('the move connect led from ready to open')
  })
})

/** Brings a session into a stage. */
const REACH: Record<Stage, (one: InHand) => Promise<void>> = {
  bare: async () => undefined,
  rehydrating: async ({ rehydrate }) => void rehydrate(),
  ready: async ({ rehydrate }) => void (await rehydrate()),
  blocked: async (one) => {
    await REACH.ready(one)
    one.live.blockBy(blockOf('conflict'))
  },
  judging: async (one) => {
    await REACH.connecting(one)
    one.latest().closed({ by: 'server', status: 428, message: 'Connection Terminated' })
  },
  connecting: async (one) => {
    await REACH.ready(one)
    one.live.connect(1, windowOf('w1'))
  },
  open: async (one) => {
    await REACH.connecting(one)
    one.latest().open(ME)
  },
  closing: async (one) => {
    await REACH.connecting(one)
    void one.live.closeSocket()
    await one.clock.settle()
  },
  settled: async (one) => {
    await REACH.ready(one)
    await one.live.settle()
  },
  dropped: async (one) => {
    await REACH.ready(one)
    one.live.drop('lease_lost')
  },
}

/** Moves that follow from what goes on, and that nobody can ask for. */
type Inner = 'rehydrated' | 'not_rehydrated' | 'block_over'
/** Asks for a move. What the network says never throws: where it makes no sense it is heard, and nothing becomes of it. */
const ASK: Record<Exclude<Move, Inner>, (one: InHand) => unknown> = {
  rehydrate: ({ rehydrate }) => expectSettledLater(rehydrate()),
  connect: ({ live }) => live.connect(1),
  show: async ({ latest, clock }) => {
    latest().qr('text', 60_000)
    await clock.settle()
  },
  link: ({ latest }) => latest().paired(),
  opened: ({ latest }) => latest().open(ME),
  close: ({ live, clock }) => Promise.race([live.closeSocket(), clock.settle()]),
  closed: ({ latest }) => latest().closed({ by: 'server', status: 428, message: 'Connection Terminated' }),
  judged: ({ live }) => live.judged(),
  back_off: ({ live }) => live.backOff('unavailable'),
  block: ({ live }) => live.blockBy(blockOf('failed')),
  exchanged: ({ live }) => live.exchanged(),
  begin_afresh: ({ live }) => live.beginAfresh(),
  archived: ({ live }) => live.archived({ snapshot: 's', jid: undefined, linked: true }),
  settle: ({ live }) => live.settle(),
  unload: ({ live }) => live.unload(),
  drop: ({ live }) => live.drop('lease_lost'),
}
const HEARD: ReadonlySet<Move> = new Set(['show', 'link', 'opened', 'closed'])

/** A refusal comes at once; what is allowed goes on by itself. */
const expectSettledLater = (work: Promise<unknown>): Promise<unknown> =>
  Promise.race([work, new Promise((resolve) => queueMicrotask(() => queueMicrotask(() => resolve(0))))])

/** Without a connection there is nothing to close, and whoever asks for it has what they want. */
const hasConnection = (stage: Stage): boolean => ['connecting', 'open', 'closing'].includes(stage)
const withoutEffect = (move: Move, from: Stage): boolean =>
  (move === 'close' && !hasConnection(from)) || (HEARD.has(move) && !leadsTo(move, from))
/** Both moves in one: the connection is closed first. */
const closesFirst = (move: Move, from: Stage): boolean =>
  move === 'settle' && (from === 'connecting' || from === 'open')

const outcome = async (live: LiveSession, ask: () => unknown): Promise<string> => {
  try {
    await ask()
    return live.stage
  } catch (error) {
    return (error as { code?: string }).code ?? (error as Error).message
  }
}

describe.each(STAGES)('a session that is %s', (from) => {
  const begin = async (move: Move): Promise<InHand> => {
    const hangs = { handOver: () => new Promise<void>(() => undefined) }
    const one = await sessionInHand(from === 'closing' || move === 'close' ? { socket: hangs } : {})
    await REACH[from](one)
    expect(one.live.stage).toBe(from)
    return one
  }

  test.for(Object.entries(ASK) as [Exclude<Move, Inner>, (one: InHand) => unknown][])(
    'makes the move %s as the table says, or refuses it',
    async ([move, ask]) => {
      const one = await begin(move)
      // What never had a connection can't be told anything by one.
      if (HEARD.has(move) && one.dialled.length === 0) return
      const ended = await outcome(one.live, () => ask(one))
      const targets = leadsTo(move, from)
      if (closesFirst(move, from)) expect(ended).toBe('settled')
      else if (withoutEffect(move, from)) expect(ended).toBe(from)
      else if (targets) expect(targets).toContain(ended)
      else {
        // Settling begins with the connection.
        const refused = move === 'settle' && from === 'closing' ? 'close' : move
        expect(ended).toBe(
          from === 'dropped' ? 'lease_lost' : `a session that is ${from} makes no move ${refused}`,
        )
        expect(one.live.stage).toBe(from)
      }
    },
  )
})

describe('what follows from what goes on', () => {
  test('a rehydration ends with a state', async () => {
    const { live, rehydrate } = await sessionInHand({ inherited: { block: blockOf('restricted') } })
    const rehydrating = rehydrate()
    expect(live.stage).toBe('rehydrating')
    expect(await rehydrating).toBe(live.state)
    expect(live.stage).toBe('blocked')
  })

  test('a rehydration that fails leaves a session without a state, which may try again', async () => {
    let isAway = true
    const { live, rehydrate } = await sessionInHand({
      through: (stores) => ({
        ...stores,
        snapshots: {
          ...stores.snapshots,
          list: (key) => (isAway ? Promise.reject(new Error('away')) : stores.snapshots.list(key)),
        },
      }),
    })
    await expect(rehydrate()).rejects.toThrow('away')
    expect(live.stage).toBe('bare')
    isAway = false
    await rehydrate()
    expect(live.stage).toBe('ready')
  })

  test('E3 a state that comes after its session was dropped is given up, and nobody gets it', async () => {
    const { live, rehydrate } = await sessionInHand()
    const rehydrating = rehydrate()
    live.drop('lease_lost')
    expect(await rehydrating).toBeUndefined()
    expect([live.stage, live.state]).toEqual(['dropped', undefined])
  })
})
