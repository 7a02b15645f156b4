import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nameOfKey } from '#shared/ids.ts'
import { COLLECTIONS, INDEXES } from '#shared/google/indexes.ts'
import { openGoogleStores } from '#shared/google/open.ts'
import type { Stores } from '#shared/store/stores.ts'
import { allContracts } from '#test/contract/all.ts'
import { eventually } from '#test/contract/eventually.ts'
import { gather } from '#test/contract/promises.ts'
import { AT, keyOf, newSession, tenant } from '#test/contract/samples.ts'
import { freshOptions, makeGoogle, skipReason, startCloud, type Cloud } from './google-subject.ts'
import { isServed, queriesOf } from './query-log.ts'

/** A cold JVM on a machine that runs other tests. */
const START_WITHIN_MS = 90_000

describe.skipIf(skipReason !== undefined)('the stores of Google Cloud', () => {
  let cloud: Cloud
  beforeAll(async () => {
    cloud = await startCloud()
  }, START_WITHIN_MS)
  afterAll(() => cloud.close())

  allContracts(() => makeGoogle(freshOptions(cloud)))

  test('ask nothing that no index of the list serves, since the emulator would not say so', async () => {
    const stores = await openGoogleStores(freshOptions(cloud))
    const queries = await queriesOf(() => askEverything(stores))
    await stores.close()
    expect(new Set(queries.map(({ collection }) => collection))).toEqual(
      new Set(COLLECTIONS.filter((name) => !['feedHeads', 'apiKeyIds', 'fleet'].includes(name))),
    )
    expect(queries.filter((query) => !isServed(query, INDEXES))).toEqual([])
  })
})

/** Every kind of query there is, watches included. */
async function askEverything(stores: Stores): Promise<void> {
  const key = keyOf('t', 's')
  const page = { limit: 5 }
  const watches = [
    stores.sessions.watch(() => (heard += 1)),
    stores.outbox.watch(() => (heard += 1)),
    stores.jobs.watch(() => {}),
    stores.removals.watch(() => {}),
  ]
  let heard = 0
  await stores.sessions.create(newSession('t', 's'))
  await stores.journal.truncate(key, 5)
  await Promise.all([
    stores.tenants.list(),
    stores.apiKeys.list(),
    stores.apiKeys.list(tenant('t')),
    stores.sessions.list({ ...page, after: 't~r' }),
    stores.sessions.list({ ...page, tenant: tenant('t'), after: 't~r' }),
    gather(stores.sessions.scan()),
    gather(stores.owners.scan()),
    stores.runners.look(),
    stores.journal.read(key, 1),
    stores.journal.head(key),
    stores.snapshots.list(key),
    stores.events.list(key, { ...page, after: '000000000000001-e' }),
    stores.events.since({ afterId: '0', limit: 5 }),
    stores.events.since({ tenant: tenant('t'), afterId: '0', limit: 5 }),
    stores.outbox.list(key, { ...page, after: '1.0.1' }),
    stores.outbox.waiting(tenant('t')),
    stores.outbox.pending(key, { limit: 5 }),
    stores.outbox.pending(key, { limit: 5, after: '000000000001.000000000.000000000001' }),
    stores.feed.list(key, { ...page, after: '0000000000000001' }),
    stores.jobs.open(key),
    stores.removals.list({ ...page, tenant: tenant('t') }),
    stores.removals.list({ tenant: tenant('t'), name: nameOfKey(key), limit: 5 }),
    gather(stores.removals.scan()),
    stores.removals.due(AT, 5),
    stores.backups.list({ ...page, tenant: tenant('t') }),
    stores.backups.due(AT, 5),
  ])
  for (const store of [stores.events, stores.outbox, stores.feed, stores.jobs]) {
    await store.sweep({ key })
    await store.sweep({ olderThanMs: AT })
  }
  await eventually('the watches have begun', () => heard > 0)
  await Promise.all(watches.map((watch) => watch.close()))
}
