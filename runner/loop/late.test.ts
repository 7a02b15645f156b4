import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { keyOf } from '../runner.fixture.ts'
import type { LiveSession } from '../session/live-session.ts'
import { lateOf, type LateNeeds } from './late.ts'

type Waits = ReturnType<LiveSession['waiting']>

test('counts what has waited for a minute over all sessions, also of those that are held no more', async () => {
  const clock = fakeClock()
  await clock.advance(100_000)
  const ago = (ms: number): number => clock.monotonicMs() - ms
  const one = keyOf('one')
  const sessions: readonly [ReturnType<typeof keyOf>, Waits][] = [
    [one, [{ what: 'inbox', sinceMs: ago(61_000) }]],
    [
      keyOf('two'),
      [
        { what: 'inbox', sinceMs: ago(90_000) },
        { what: 'outbox', sinceMs: ago(59_999) },
      ],
    ],
  ]
  const live = new Map(sessions.map(([key, waits]) => [key, { waiting: () => waits }]))
  const gone = keyOf('gone')
  const reporter: LateNeeds['reporter'] = {
    waiting: (key) => (key === gone ? [{ what: 'status', sinceMs: ago(60_000) }] : []),
    waitingKeys: [gone, one],
  }
  expect(lateOf({ clock, live, reporter })).toEqual([
    { what: 'inbox', sessions: 2, oldestMs: 90_000 },
    { what: 'status', sessions: 1, oldestMs: 60_000 },
  ])
})
