import { expect, test } from 'vitest'
import { eventIdAt } from '#shared/store/event-store.ts'
import { ADMIN_KEY, controlWorld } from '../control.fixture.ts'
import type { ControlWorld } from '../control.fixture.ts'

interface Sent {
  id: string
  event: string
  data: { session: string; tenant: string; kind: string; why?: string }
}

/** Listens to the stream until it was told `count` events. */
async function listen(
  world: ControlWorld,
  query: string,
  more: { key?: string; lastEventId?: string } = {},
): Promise<{ next(count: number): Promise<Sent[]>; stop(): Promise<void>; ended(): Promise<boolean> }> {
  const response = await world.app.request(`/v1/events${query}`, {
    headers: {
      'x-api-key': more.key ?? ADMIN_KEY,
      ...(more.lastEventId ? { 'last-event-id': more.lastEventId } : {}),
    },
  })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  const reader = response.body?.getReader()
  if (!reader) throw new Error('the stream has no body')
  let text = ''
  const decoder = new TextDecoder()
  return {
    async next(count) {
      const sent: Sent[] = []
      while (sent.length < count) {
        const end = text.indexOf('\n\n')
        if (end < 0) {
          const { value, done } = await reader.read()
          if (done) break
          text += decoder.decode(value, { stream: true })
          continue
        }
        const fields = text.slice(0, end).split('\n')
        text = text.slice(end + 2)
        const field = (name: string) =>
          fields.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
        const data = field('data')
        if (data) sent.push({ id: field('id') ?? '', event: field('event') ?? '', data: JSON.parse(data) })
      }
      return sent
    },
    stop: () => reader.cancel(),
    async ended() {
      for (let n = 0; n < 1000; n++) if ((await reader.read()).done) return true
      return false
    },
  }
}

test('tells what happens, as it happens, of one tenant', async () => {
  await using world = await controlWorld()
  const key = await world.keyOf('acme', 'read')
  const stream = await listen(world, '', { key })
  for (const tenant of ['rival', 'acme']) {
    await world.clock.advance(1)
    await world.ask('POST', `/v1/sessions?tenant=${tenant}`, { body: { id: 'main' } })
  }
  await world.clock.advance(1)
  await world.ask('POST', '/v1/sessions/main/stop?tenant=acme')
  expect(await stream.next(2)).toMatchObject([
    { event: 'want', data: { tenant: 'acme', session: 'main', why: 'create' } },
    { event: 'want', data: { tenant: 'acme', session: 'main', why: 'stop' } },
  ])
  await stream.stop()
})

test('goes on after Last-Event-ID, and tells each event once', async () => {
  await using world = await controlWorld()
  for (const id of ['a', 'b', 'c']) {
    await world.clock.advance(1)
    await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id } })
  }
  const all = await world.stores.events.since({ afterId: '', limit: 9 })
  const stream = await listen(world, '?tenant=acme', { lastEventId: all[0]?.id ?? '' })
  const told = await stream.next(2)
  expect(told.map(({ data }) => data.session)).toEqual(['b', 'c'])
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'd' } })
  expect((await stream.next(1)).map(({ data }) => data.session)).toEqual(['d'])
  await stream.stop()
})

test('tells an event that another process wrote with a clock a little behind', async () => {
  await using world = await controlWorld()
  await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id: 'a' } })
  const stream = await listen(world, '?tenant=acme', { lastEventId: eventIdAt(0, '') })
  await stream.next(1)
  const at = world.clock.nowMs() - 3_000
  await world.stores.events.append(world.key('a'), { id: eventIdAt(at, 'late'), at, kind: 'phase', by: 'r' })
  expect(await stream.next(1)).toMatchObject([{ event: 'phase' }])
  await stream.stop()
})

test('tells of one session when asked for one', async () => {
  await using world = await controlWorld()
  const stream = await listen(world, '?tenant=acme&session=b')
  for (const id of ['a', 'b']) {
    await world.clock.advance(1)
    await world.ask('POST', '/v1/sessions?tenant=acme', { body: { id } })
  }
  expect((await stream.next(1))[0]?.data.session).toBe('b')
  await stream.stop()
})

test('ends the stream of a key that was revoked', async () => {
  await using world = await controlWorld()
  const key = await world.keyOf('acme', 'read')
  const stream = await listen(world, '', { key })
  const [record] = await world.stores.apiKeys.list()
  await world.ask('DELETE', `/v1/keys/${record?.id}`)
  expect(await stream.ended()).toBe(true)
})
