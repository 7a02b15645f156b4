import { expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import { splitKey } from '#shared/ids.ts'
import { loneRunner } from './lone-runner.ts'

test('F1 a claim that finds another owner whatever it reads is tried ever more rarely, and at once when a person asks', async () => {
  using world = await loneRunner(1)
  const [key] = world.keys
  if (!key) throw new Error('there is a session')
  let claims = 0
  world.troubles.set('owners.claim', () => {
    claims++
    return new CodedError('owner_changed', 'scripted')
  })
  await world.start()
  await world.passMs(30_000)
  expect(claims).toBeGreaterThan(10)
  expect(claims).toBeLessThan(25)
  expect(world.lines('session is being worked on without progress')).toBe(1)
  // The next try is half a minute away.
  await world.passMs(30_000)
  const before = claims
  world.troubles.clear()
  await world.control.sessions.changeWant(key, (want) => ({ ...want, restart: want.generation + 1 }), {
    nonce: 'n',
    nowMs: 1,
  })
  await world.passMs(500)
  expect([before - claims, await world.connected()]).toEqual([0, [key]])
})

test('F1 an owner of a life that is gone is not believed: the next life under the same name is claimed', async () => {
  using world = await loneRunner(1)
  const { sessions, removals, owners, journal } = world.control
  const [key] = world.keys
  if (!key) throw new Error('there is a session')
  await sessions.changeWant(key, (want) => ({ ...want, state: 'stopped' }), { nonce: 'n', nowMs: 1 })
  await world.start()
  expect(await owners.get(key)).toMatchObject({ epoch: 2 })
  const { tenant, session: id } = splitKey(key)
  await sessions.remove(key, { purge: true, by: 'test', nowMs: 2 })
  await removals.remove(key)
  await journal.truncate(key, Number.MAX_SAFE_INTEGER)
  await owners.remove(key)
  await sessions.create({ tenant, id, want: { state: 'running', metadata: {} }, createdAt: 2 })
  await world.passMs(1_000)
  expect((await sessions.get(key))?.status).toMatchObject({ phase: 'unpaired', epoch: 1 })
})
