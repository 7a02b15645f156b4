import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { tally } from '#shared/google/meter.ts'
import { openGoogleStores } from '#shared/google/open.ts'
import type { Owner } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import { eventually } from '#test/contract/eventually.ts'
import { AT, keyOf, lease, runner } from '#test/contract/samples.ts'
import { freshOptions, skipReason, startCloud, type Cloud } from './google-subject.ts'

const START_WITHIN_MS = 90_000
const KEY = keyOf('t', 's')

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
    // Connected, as they are in a process that renews: it has checked its stores at its start.
    await Promise.all([stores.check('records'), other.check('records')])
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

  test('a session that is handed over is claimed and released without a read, on the word of the watch', async () => {
    const heard: (Owner | undefined)[] = []
    const watch = stores.owners.watch((_, owner) => heard.push(owner))
    await other.owners.claim({ key: KEY, runnerId: runner('a'), expectEpoch: 0, nonce: 'n1', nowMs: AT })
    await other.owners.release({ key: KEY, runnerId: runner('a'), epoch: 1, nonce: 'n2', nowMs: AT + 1 })
    const released = { epoch: 1, since: AT + 1, nonce: 'n2' }
    await eventually('the watch tells of the release', () => heard.at(-1)?.nonce === 'n2')
    expect(heard.at(-1)).toEqual(released)

    const claim = { key: KEY, runnerId: runner('b'), expectEpoch: 1, nonce: 'n3', nowMs: AT + 2 }
    expect(await stores.owners.claim(claim)).toMatchObject({ runnerId: 'b', epoch: 2 })
    await stores.owners.release({ key: KEY, runnerId: runner('b'), epoch: 2, nonce: 'n4', nowMs: AT + 3 })
    const asked = [...meter.byCall().keys()].filter(
      (call) => call.startsWith('reads') && !call.includes('watch'),
    )
    expect(asked.filter((call) => !call.endsWith('ask for the time'))).toEqual([])
    expect(await other.owners.get(KEY)).toEqual({ epoch: 2, since: AT + 3, nonce: 'n4' })
    await watch.close()
  })

  test('E7 a word of the watch that is old by now lets no claim through', async () => {
    const heard: (Owner | undefined)[] = []
    const watch = stores.owners.watch((_, owner) => heard.push(owner))
    await other.owners.claim({ key: KEY, runnerId: runner('a'), expectEpoch: 0, nonce: 'n1', nowMs: AT })
    await eventually('the watch tells of the claim', () => heard.at(-1)?.nonce === 'n1')
    await watch.close()
    await other.owners.claim({ key: KEY, runnerId: runner('c'), expectEpoch: 1, nonce: 'n2', nowMs: AT })
    const late = { key: KEY, runnerId: runner('b'), expectEpoch: 1, nonce: 'n3', nowMs: AT }
    await expect(stores.owners.claim(late)).rejects.toMatchObject({ code: 'owner_changed' })
    expect(await other.owners.get(KEY)).toMatchObject({ runnerId: 'c', epoch: 2 })
  })
})
