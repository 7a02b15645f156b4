import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { tally } from '#shared/google/meter.ts'
import { openGoogleStores } from '#shared/google/open.ts'
import type { Stores } from '#shared/store/stores.ts'
import { lease, runner } from '#test/contract/samples.ts'
import { freshOptions, skipReason, startCloud, type Cloud } from './google-subject.ts'

const START_WITHIN_MS = 90_000

/** What happens all the time, or while a session is without a socket, asks the server as rarely as it can. */
describe.skipIf(skipReason !== undefined)('what is billed, and waited for', () => {
  let cloud: Cloud
  let stores: Stores
  let other: Stores
  const meter = tally()
  beforeAll(async () => {
    cloud = await startCloud()
  }, START_WITHIN_MS)
  afterAll(() => cloud.close())
  beforeEach(async () => {
    const options = freshOptions(cloud)
    stores = await openGoogleStores({ ...options, meter })
    other = await openGoogleStores(options)
    meter.reset()
  })
  afterEach(async () => {
    await Promise.all([stores.close(), other.close()])
  })

  test('a renewal is one write and no read, and answers what is stored', async () => {
    await stores.runners.renew(lease('a', 1))
    meter.reset()
    const renewed = await stores.runners.renew(lease('a', 2, { held: 3 }))
    expect(meter.totals()).toMatchObject({ reads: 0, writes: 1 })
    const { records } = await other.runners.look()
    expect(records).toEqual([{ ...renewed, renewedAt: records[0]?.renewedAt }])
  })

  test('a renewal after a drain that was asked for reads once, and tells of it from then on', async () => {
    await stores.runners.renew(lease('a', 1))
    await other.runners.drain(runner('a'))
    expect(await stores.runners.renew(lease('a', 2))).toMatchObject({ beat: 2, draining: true })
    meter.reset()
    expect(await stores.runners.renew(lease('a', 3))).toMatchObject({ beat: 3, draining: true })
    expect(meter.totals()).toMatchObject({ reads: 0, writes: 1 })
  })

  test('a look is one read for each runner', async () => {
    await other.runners.renew(lease('a', 1))
    await other.runners.renew(lease('b', 1))
    const { records } = await stores.runners.look()
    expect(records.map(({ id }) => id)).toEqual(['a', 'b'])
    expect(meter.totals()).toMatchObject({ reads: 2, writes: 0 })
  })
})
