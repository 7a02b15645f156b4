import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide, type LaneItem, type Stage } from './lanes.ts'

interface Item extends LaneItem {
  name: string
}

const NOW = { monotonicMs: 1_000, nowMs: 5_000 }

/** `a1 ready`: of the lane a. `+` after the stage: not before a later time; `!`: its time is over. */
const itemOf = (text: string): Item => {
  const [name = '', word = ''] = text.split(' ')
  return {
    name,
    lane: name[0] ?? '',
    stage: word.replace(/[+!]/g, '') as Stage,
    notBeforeMs: word.includes('+') ? 1_250 : 0,
    expiresAt: word.includes('!') ? 5_000 : 90_000,
  }
}

const rows: readonly [
  says: string,
  items: string[],
  expect: { take?: string; send?: string; expired?: string },
][] = [
  [
    'takes what waits, also several of one lane',
    ['a1 waiting', 'a2 waiting', 'b1 waiting'],
    { take: 'a1 a2 b1' },
  ],
  ['sends the first that is taken', ['a1 ready', 'b1 ready'], { send: 'a1' }],
  ['sends one at a time', ['a1 sending', 'b1 ready'], {}],
  [
    'sends the next of a lane while the one before is on the wire',
    ['a1 on_wire+', 'a2 ready'],
    { send: 'a2' },
  ],
  ['sends nothing before what was accepted earlier in its lane is taken', ['a1 taking', 'a2 ready'], {}],
  ['other lanes go on meanwhile', ['a1 taking', 'a2 ready', 'b1 ready'], { send: 'b1' }],
  [
    'case 21: after a failure the lane waits, and goes on in its order',
    ['a1 ready+', 'a2 ready', 'b1 ready'],
    { send: 'b1' },
  ],
  [
    'what is behind a failure is not taken, so it can be withdrawn',
    ['a1 ready+', 'a2 waiting', 'b1 waiting'],
    { take: 'b1' },
  ],
  [
    'a store that failed a taking holds that lane alone',
    ['a1 waiting+', 'a2 waiting', 'b1 waiting'],
    { take: 'b1' },
  ],
  [
    'sends again what was not acknowledged in time, before what is newer',
    ['a1 on_wire', 'a2 ready'],
    { send: 'a1' },
  ],
  ['the first of a lane that expired frees it', ['a1 ready!', 'a2 ready'], { expired: 'a1', send: 'a2' }],
  ['expires also what waits for another try', ['a1 ready+!', 'a2 ready'], { expired: 'a1', send: 'a2' }],
  [
    'leaves what is on the wire the time for its acknowledgement',
    ['a1 on_wire+!', 'a2 ready'],
    { send: 'a2' },
  ],
  ['does not send again what has expired', ['a1 on_wire!'], { expired: 'a1' }],
  ['what is being worked on has not expired', ['a1 taking!', 'b1 sending!'], {}],
  ['what is over is in nobody’s way', ['a1 over', 'a2 ready'], { send: 'a2' }],
]

test.for(rows)('%s', ([, texts, { take = '', send, expired = '' }]) => {
  const decision = decide(texts.map(itemOf), NOW)
  const names = (items: readonly Item[]): string => items.map(({ name }) => name).join(' ')
  expect([names(decision.take), decision.send?.name, names(decision.expired)]).toEqual([take, send, expired])
})

test('takes no more ahead than go out next', () => {
  const items = Array.from({ length: 100 }, (_, at) =>
    itemOf(`${String.fromCharCode(97 + (at % 26))}${at} waiting`),
  )
  expect(decide(items, NOW).take).toEqual(items.slice(0, 16))
  expect(decide([itemOf('z ready'), ...items], NOW).take).toEqual(items.slice(0, 15))
  const held = [itemOf('z1 ready+'), itemOf('z2 ready'), itemOf('z3 ready')]
  expect(decide([...held, ...items], NOW).take).toEqual(items.slice(0, 16))
})

test('says when to decide again: at the next try, or when the next one expires', () => {
  expect(decide([itemOf('a1 ready+'), itemOf('b1 over')], NOW).againInMs).toBe(250)
  expect(decide([itemOf('a1 taking'), itemOf('a2 ready')], NOW).againInMs).toBe(85_000)
  expect(decide([itemOf('a1 over')], NOW).againInMs).toBeUndefined()
})

test('nothing goes on the wire before what was accepted earlier in its lane, whatever fails', () => {
  const script = fc.array(fc.record({ lane: fc.constantFrom('a', 'b', 'c'), fails: fc.nat(2) }), {
    maxLength: 12,
  })
  fc.assert(
    fc.property(script, (messages) => {
      const items = messages.map(({ lane, fails }, at) => ({
        at,
        lane,
        fails,
        stage: 'waiting' as Stage,
        notBeforeMs: 0,
        expiresAt: undefined,
      }))
      const wire: { lane: string; at: number }[] = []
      for (let now = 0; now < 200; now++) {
        const { take, send } = decide(items, { monotonicMs: now, nowMs: 0 })
        for (const item of take) item.stage = 'ready'
        if (!send) continue
        if (send.fails-- > 0) send.notBeforeMs = now + 5
        else {
          wire.push({ lane: send.lane, at: send.at })
          send.stage = 'over'
        }
      }
      expect(wire).toHaveLength(items.length)
      for (const lane of ['a', 'b', 'c']) {
        const order = wire.filter((one) => one.lane === lane).map(({ at }) => at)
        expect(order).toEqual(order.toSorted((one, other) => one - other))
      }
    }),
  )
})
