import { describe, expect, test } from 'vitest'
import { begin, DAY_MS, LEASE_MS, ME, OTHER, SURELY_OVER_MS } from './runners-seen.fixture.ts'

describe('the next look', () => {
  test('is soon enough for every beat of another that lives to be judged when its lease runs out', async () => {
    const { renew, seen, after } = begin()
    await renew()
    await after(0)
    expect(seen.nextLookInMs()).toBe(LEASE_MS - SURELY_OVER_MS)
    // Seen as late as that, it is judged as soon as its lease has run out.
    await renew()
    await after(LEASE_MS - SURELY_OVER_MS)
    await after(SURELY_OVER_MS - 1)
    expect(await after(2)).toBe(false)
  })

  test('is when the lease of another may have run out, and not before', async () => {
    const { renew, seen, after } = begin()
    await after(0)
    await renew()
    await after(1_000)
    await after(LEASE_MS - 1_500)
    expect(seen.nextLookInMs()).toBe(501)
    expect(await after(501)).toBe(false)
  })

  test('is when its beat was watched for long enough where the store’s clock was set', async () => {
    const { store, renew, seen, after } = begin()
    await after(0)
    await renew()
    store.offsetMs = DAY_MS
    await after(0)
    await after(SURELY_OVER_MS - 500)
    expect(seen.nextLookInMs()).toBe(500)
    expect(await after(500)).toBe(false)
  })

  test('waits as long as a lease where nobody else lives: a watch tells of who comes', async () => {
    const { renew, seen, after } = begin()
    await renew(ME)
    await renew()
    await after(LEASE_MS + 1)
    expect(seen.isAlive(OTHER)).toBe(false)
    expect(seen.nextLookInMs()).toBe(LEASE_MS)
  })

  test('is never at once: a store that is slow is left some time', async () => {
    const { clock, renew, seen, after } = begin()
    await renew()
    await after(0)
    await clock.advance(LEASE_MS)
    expect(seen.nextLookInMs()).toBeGreaterThan(0)
  })
})
