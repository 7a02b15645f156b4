import { describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import type { RunnerId } from '#shared/ids.ts'
import type { Owner } from '#shared/session.ts'
import { runner } from '#test/contract/samples.ts'
import { begin, DAY_MS, LEASE_MS, ME, OTHER, SURELY_OVER_MS } from './runners-seen.fixture.ts'

describe('another runner', () => {
  test('is alive until its lease has run out by the clock of the store', async () => {
    const { renew, after } = begin()
    await renew()
    expect(await after(0)).toBe(true)
    expect(await after(LEASE_MS - 1)).toBe(true)
    expect(await after(2)).toBe(false)
  })

  test('is dead at first observation when its lease ran out long ago', async () => {
    const { renew, after } = begin()
    await renew()
    expect(await after(LEASE_MS + 1)).toBe(false)
  })

  test('E7 is not dead because the store’s clock was set while its beat was fresh, in whatever order', async () => {
    const { store, renew, after } = begin()
    store.offsetMs = DAY_MS
    await renew()
    expect(await after(0)).toBe(true)
    // Back, a renewal, and ahead again between two looks: the stamp alone is as old as one likes.
    store.offsetMs = 0
    await renew()
    store.offsetMs = DAY_MS
    expect(await after(1_000)).toBe(true)
    expect(await after(SURELY_OVER_MS - 1)).toBe(true)
    expect(await after(1)).toBe(false)
  })

  test('that appears between two looks is alive, whatever its stamp says', async () => {
    const { store, renew, after } = begin()
    await after(0)
    await renew()
    store.offsetMs = DAY_MS
    expect(await after(1_000)).toBe(true)
  })

  test('is dead when its beat did not change for as long as its lease, whatever the store’s clock says', async () => {
    const { clock, store, renew, after } = begin()
    store.stoppedAtMs = clock.monotonicMs()
    await renew()
    expect(await after(0)).toBe(true)
    expect(await after(LEASE_MS - 1)).toBe(true)
    expect(await after(1)).toBe(false)
    await renew()
    expect(await after(0)).toBe(true)
  })

  test('lives on with every new beat', async () => {
    const { renew, after } = begin()
    await renew()
    for (let time = 0; time < 10; time++) {
      expect(await after(LEASE_MS - 1)).toBe(true)
      await renew()
    }
  })

  test('is not judged by this machine’s wall clock', async () => {
    const { clock, renew, after } = begin()
    await renew()
    await after(0)
    clock.turnWall(24 * 3_600_000)
    expect(await after(1)).toBe(true)
    clock.turnWall(-48 * 3_600_000)
    expect(await after(1)).toBe(true)
  })

  test('is dead at once when the operating system proves it', async () => {
    const { db, renew, after } = begin()
    await renew()
    expect(await after(0)).toBe(true)
    db.provenDead.add(OTHER)
    expect(await after(0)).toBe(false)
  })

  test('is long dead when its beat did not change for five minutes, and alive again with the next', async () => {
    const { renew, seen, after } = begin()
    await renew()
    await renew(ME)
    await after(0)
    await after(300_000 - 1)
    expect(seen.longDead).toEqual([])
    await after(1)
    expect(seen.longDead).toEqual([OTHER])
    await renew()
    await after(1)
    expect(seen.longDead).toEqual([])
  })

  test('proofs are for others: this runner is itself alive', async () => {
    const { db, renew, seen } = begin()
    await renew(ME)
    db.provenDead.add(ME)
    await seen.refresh()
    expect(seen.isAlive(ME)).toBe(true)
  })

  test('E7 a store that can’t be asked proves nothing', async () => {
    const { clock, script, renew, seen, after } = begin()
    await renew()
    await after(0)
    script.look = { kind: 'fail_before', error: new CodedError('store_unavailable', 'scripted') }
    await clock.advance(10 * LEASE_MS)
    await expect(seen.refresh()).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(seen.isAlive(OTHER)).toBe(true)
    // What the store says when it is back decides: it renewed all the time, or it did not.
    delete script.look
    await renew()
    expect(await after(0)).toBe(true)
  })

  test('a slow look counts from when it was sent', async () => {
    const { clock, store, script, renew, seen, after } = begin()
    store.stoppedAtMs = clock.monotonicMs()
    await renew()
    await after(0)
    const slow = Promise.withResolvers<void>()
    script.look = [{ kind: 'delay', when: 'after', until: slow.promise }]
    const looking = seen.refresh()
    await clock.advance(2 * LEASE_MS)
    slow.resolve()
    await looking
    expect(seen.isAlive(OTHER)).toBe(true)
  })
})

describe('a session is owned', () => {
  const owner = (runnerId: RunnerId | undefined): Owner => ({
    ...(runnerId && { runnerId }),
    epoch: 3,
    since: 1,
    nonce: 'n',
  })

  test('by a runner that is alive, and by nobody after a release', async () => {
    const { clock, renew, seen, after } = begin()
    await renew()
    await after(1)
    const learnedMs = clock.monotonicMs() - 1
    expect(seen.isOwned(owner(OTHER), learnedMs)).toBe(true)
    expect(seen.isOwned(owner(undefined), learnedMs)).toBe(false)
    expect(seen.isOwned(undefined, learnedMs)).toBe(false)
    await after(LEASE_MS + 1)
    expect(seen.isOwned(owner(OTHER), learnedMs)).toBe(false)
  })

  test('E7 by whoever claimed it since the last look, until the next', async () => {
    const { clock, renew, seen, after } = begin()
    await renew(OTHER)
    const dead = runner('dead')
    await renew(dead)
    await after(LEASE_MS + 1)
    await clock.advance(1)
    const learnedMs = clock.monotonicMs()
    // One that was never heard of, and one that was dead then: both may be alive since.
    expect(seen.isOwned(owner(runner('new')), learnedMs)).toBe(true)
    expect(seen.isOwned(owner(dead), learnedMs)).toBe(true)
    await after(1)
    expect(seen.isOwned(owner(runner('new')), learnedMs)).toBe(false)
    expect(seen.isOwned(owner(dead), learnedMs)).toBe(false)
  })

  test('no more by one whose record is gone: it ended in order', async () => {
    const { clock, runners, renew, seen, after } = begin()
    await renew()
    await after(1)
    const learnedMs = clock.monotonicMs()
    await runners.remove(OTHER)
    await after(1)
    expect(seen.isOwned(owner(OTHER), learnedMs)).toBe(false)
  })
})

describe('the membership', () => {
  test('candidates are those that live and do not drain', async () => {
    const { db, renew, seen, after } = begin()
    await renew(ME)
    await renew(runner('draining'), { draining: true })
    await renew(runner('dead'))
    await renew()
    db.provenDead.add(runner('dead'))
    await after(0)
    expect(seen.candidates().map(({ id }) => id)).toEqual([ME, OTHER])
    expect(seen.all).toHaveLength(4)
  })

  test('changes when a runner appears, drains or dies, and not when it renews', async () => {
    const { runners, renew, seen, after } = begin()
    const memberships: string[] = []
    const look = async (ms: number): Promise<void> => {
      await after(ms)
      if (seen.membership !== memberships.at(-1)) memberships.push(seen.membership)
    }
    await look(0)
    await renew()
    await look(1)
    await renew()
    await look(1)
    await runners.drain(OTHER)
    await look(1)
    await look(LEASE_MS)
    expect(memberships).toEqual(['', 'other:true:false', 'other:true:true', 'other:false:true'])
  })

  test('says when the lease of a runner runs out if its beat does not change', async () => {
    const { clock, renew, seen, after } = begin()
    await renew()
    await after(0)
    const seenMs = clock.monotonicMs()
    await after(500)
    expect(seen.runsOutMs(OTHER)).toBe(seenMs + LEASE_MS)
    expect(seen.runsOutMs(runner('unknown'))).toBe(0)
  })
})
