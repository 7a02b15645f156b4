import { expect, test } from 'vitest'
import type { SessionKey } from '#shared/ids.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { keyOf, memory, recordedLog } from '../runner.fixture.ts'
import { ClientVersion, type VersionDeps } from './version.ts'
import type { PageReading } from './web-page.ts'

const BUILT_IN = '2.3000.100'
const NEWER = '2.3000.200'
const [A, B] = [keyOf('a'), keyOf('b')]
const HOUR_MS = 3_600_000

/** A fleet; each of its runners asks the same page. */
function begin() {
  const clock = fakeClock()
  const { stores } = memory(clock)
  const { log, lines } = recordedLog()
  let page: PageReading = { version: NEWER }
  let reads = 0
  let adopted = 0
  const start = async (more: Partial<VersionDeps> = {}): Promise<ClientVersion> => {
    const readPage = async (): Promise<PageReading> => {
      reads++
      return page
    }
    const deps = {
      fleet: stores.fleet,
      clock,
      log,
      builtIn: BUILT_IN,
      readPage,
      adopted: () => void adopted++,
    }
    const version = new ClientVersion({ ...deps, ...more })
    await version.look()
    await clock.settle()
    return version
  }
  /** That session tries alone, and is told. */
  const tries = async (
    version: ClientVersion,
    key: SessionKey,
    says: 'accepted' | 'refused',
  ): Promise<string> => {
    version.begins(key, true)
    const said = version.of(key) ?? ''
    version[says](key)
    await clock.settle()
    return said
  }
  const shows = (now: PageReading): void => void (page = now)
  const messages = (): string[] => lines.map(({ message }) => message)
  return {
    clock,
    fleet: stores.fleet,
    start,
    tries,
    shows,
    messages,
    reads: () => reads,
    adopted: () => adopted,
  }
}

test('F11: the page is read once for the whole fleet, once a day, and nothing is changed by it', async () => {
  const { clock, fleet, start, reads } = begin()
  const [one, two] = [await start(), await start()]
  expect([reads(), one.of(), two.of()]).toEqual([1, BUILT_IN, BUILT_IN])
  expect(await fleet.version()).toMatchObject({ inUse: { version: BUILT_IN }, current: { version: NEWER } })
  await clock.advance(23 * HOUR_MS)
  await two.look()
  expect(reads()).toBe(1)
  await clock.advance(HOUR_MS)
  await two.look()
  await one.look()
  expect(reads()).toBe(2)
})

test('F11: after a refusal one session tries the current version first; once it is in, all use it, on other runners too', async () => {
  const { fleet, start, tries, adopted } = begin()
  const [one, two] = [await start(), await start()]
  one.refused(A)
  one.begins(A, true)
  expect([one.of(A), one.of(B), two.of(B)]).toEqual([NEWER, BUILT_IN, BUILT_IN])
  expect(await tries(one, A, 'accepted')).toBe(NEWER)
  expect([one.of(A), one.of(B), one.of()]).toEqual([NEWER, NEWER, NEWER])
  await two.look()
  expect([two.of(B), adopted()]).toEqual([NEWER, 1])
  expect(await fleet.version()).toMatchObject({ inUse: { version: NEWER }, refused: { version: BUILT_IN } })
  // Whoever starts later begins with it; a Mooring that is newer than that brings its own.
  expect((await start()).of()).toBe(NEWER)
  expect((await start({ builtIn: '2.3000.300' })).of()).toBe('2.3000.300')
})

test('a version that is refused as well is not tried again, and what was in use stays', async () => {
  const { start, tries, shows, clock } = begin()
  const version = await start()
  expect(await tries(version, A, 'refused')).toBe(NEWER)
  expect([version.of(A), await tries(version, A, 'refused')]).toEqual([BUILT_IN, BUILT_IN])
  // The page names a newer one by the time of the next refusal.
  shows({ version: '2.3000.201' })
  await clock.advance(60_000)
  version.refused(A)
  await clock.settle()
  expect(await tries(version, B, 'accepted')).toBe('2.3000.201')
})

test('who does not try alone says what all say', async () => {
  const { start } = begin()
  const version = await start()
  version.begins(A, true)
  version.begins(A, false)
  expect(version.of(A)).toBe(BUILT_IN)
  version.accepted(A)
  expect(version.of()).toBe(BUILT_IN)
})

test.for(['other_form', 'no_answer'])(
  'F11: where the page says nothing (%s) the one in use stays, and that is told',
  async (why) => {
    const { fleet, start, tries, shows, messages } = begin()
    shows({ trouble: why })
    const version = await start()
    expect(await tries(version, A, 'refused')).toBe(BUILT_IN)
    expect(messages()).toContain('the current WhatsApp version can’t be read; the one in use stays')
    expect(await fleet.version()).toMatchObject({ inUse: { version: BUILT_IN }, trouble: { why } })
  },
)

test('what the page says later takes the place of its silence', async () => {
  const { fleet, start, shows, clock } = begin()
  shows({ trouble: 'no_answer' })
  const version = await start()
  shows({ version: NEWER })
  await clock.advance(24 * HOUR_MS)
  await version.look()
  await clock.settle()
  expect(await fleet.version()).toMatchObject({ current: { version: NEWER } })
  expect(await fleet.version()).not.toHaveProperty('trouble')
})

test('a version that an operator chose is used by all, whatever the page says', async () => {
  const { start, tries, reads } = begin()
  const version = await start({ chosen: '2.3000.50', readPage: undefined })
  expect([version.of(), await tries(version, A, 'refused'), reads()]).toEqual(['2.3000.50', '2.3000.50', 0])
})

test('a store that is away is told of, and the version that is built in stays', async () => {
  const { start, messages } = begin()
  const away = (): Promise<never> => Promise.reject(new Error('away'))
  const version = await start({ fleet: { version: away, changeVersion: away } })
  expect(version.of()).toBe(BUILT_IN)
  expect(messages()).toContain('the WhatsApp version of the fleet is not known')
})
