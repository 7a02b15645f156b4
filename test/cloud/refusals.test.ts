import { afterEach, expect, test } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { openGoogleStores } from '#shared/google/open.ts'
import { GRPC } from '#shared/google/vendor-error.ts'
import { systemRandom } from '#shared/random.ts'
import { AT, feedItem, keyOf, message } from '#test/contract/samples.ts'
import { startRefusingFirestore } from './refusing-firestore.ts'

const KEY = keyOf('t', 's')
const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close()
})

async function behind(...refuses: Parameters<typeof startRefusingFirestore>) {
  const firestore = await startRefusingFirestore(...refuses)
  const stores = await openGoogleStores({
    project: 'harbour',
    database: 'mooring',
    bucket: 'harbour-snapshots',
    kmsKey: 'projects/harbour/locations/eu/keyRings/mooring/cryptoKeys/kek',
    clock: systemClock,
    random: systemRandom,
    firestoreEmulatorHost: firestore.host,
    callTimeoutMs: 4000,
  })
  toClose.push(
    () => firestore.close(),
    () => stores.close(),
  )
  return stores
}

/** What Firestore says of a write, and whether repeating it can ever be of use. */
const ANSWERS: readonly [status: number, details: string, code: string][] = [
  [GRPC.invalidArgument, 'maximum entity size is 1048576 bytes', 'store_refused'],
  [GRPC.invalidArgument, "field name '__a__' is reserved.", 'store_refused'],
  [GRPC.permissionDenied, 'Missing or insufficient permissions.', 'store_unavailable'],
  [GRPC.unauthenticated, 'Request had invalid authentication credentials.', 'store_unavailable'],
  [GRPC.notFound, 'The database mooring does not exist for project harbour', 'store_unavailable'],
]

test.for(ANSWERS)('a write that Firestore answers with %i (%s) is %s', async ([status, details, code]) => {
  const stores = await behind(status, details)
  await expect(stores.outbox.enqueue(KEY, message(1))).rejects.toMatchObject({ code })
})

test('a value that the client itself does not take is refused for good, before anything is sent', async () => {
  const stores = await behind(0, '')
  const odd = { ...message(1), error: new URL('https://example.com') } as never
  await expect(stores.outbox.enqueue(KEY, odd)).rejects.toMatchObject({ code: 'store_refused' })
})

test('an item for which Firestore refuses its whole group is found, and named by its place', async () => {
  const stores = await behind(GRPC.invalidArgument, 'no reason that we know of', 'POISON')
  const items = [feedItem(0), feedItem(1), feedItem(2, { text: 'POISON' }), feedItem(3)]
  await expect(stores.feed.add(KEY, items, AT)).rejects.toMatchObject({ code: 'store_refused', items: [2] })
  await stores.feed.add(KEY, [feedItem(0), feedItem(1), feedItem(3)], AT)
})
