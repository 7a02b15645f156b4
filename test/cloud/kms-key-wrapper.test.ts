import { grpc } from 'google-gax'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { createCalls } from '#shared/google/calls.ts'
import { kmsKeyWrapper } from '#shared/google/kms-key-wrapper.ts'
import { tally } from '#shared/google/meter.ts'
import { startKmsServer, type KmsServer } from './kms-server.ts'

const KEY = 'projects/p/locations/l/keyRings/r/cryptoKeys/k'
const dataKey = new Uint8Array(32).fill(7)

let server: KmsServer
let keys: ReturnType<typeof kmsKeyWrapper>
const meter = tally()
beforeEach(async () => {
  meter.reset()
  server = await startKmsServer()
  keys = kmsKeyWrapper({ key: KEY, endpoint: server.endpoint, calls: createCalls(systemClock, 3000), meter })
})
afterEach(async () => {
  await keys.close()
  await server.close()
})

test('wraps and unwraps with one call each, and says which version did it', async () => {
  const { wrapped, keyVersion } = await keys.wrap(dataKey, 't|s|1')
  expect(await keys.unwrap(wrapped, 't|s|1')).toEqual(dataKey)
  expect(keyVersion).toBe(`${KEY}/cryptoKeyVersions/1`)
  expect(meter.totals().keyCalls).toBe(2)
})

test('opens what an older version wrapped', async () => {
  const { wrapped, keyVersion } = await keys.wrap(dataKey, 'aad')
  server.rotate()
  expect(await keys.currentVersion()).not.toBe(keyVersion)
  expect(await keys.unwrap(wrapped, 'aad')).toEqual(dataKey)
})

test('says wrong_key under another aad', async () => {
  const { wrapped } = await keys.wrap(dataKey, 'aad')
  await expect(keys.unwrap(wrapped, 'other')).rejects.toMatchObject({ code: 'wrong_key' })
})

test('asks again when bytes were damaged on the way, and never takes them', async () => {
  server.damage(1)
  const { wrapped } = await keys.wrap(dataKey, 'aad')
  server.damage(2)
  expect(await keys.unwrap(wrapped, 'aad')).toEqual(dataKey)
  server.damage(100)
  await expect(keys.wrap(dataKey, 'aad')).rejects.toMatchObject({ code: 'store_unavailable' })
  await expect(keys.unwrap(wrapped, 'aad')).rejects.toMatchObject({ code: 'store_unavailable' })
})

test('gets over a service that is away for a moment', async () => {
  server.refuse({ code: grpc.status.UNAVAILABLE, details: 'away', times: 2 })
  const { wrapped } = await keys.wrap(dataKey, 'aad')
  expect(await keys.unwrap(wrapped, 'aad')).toEqual(dataKey)
})

test('says store_unavailable, not wrong_key, when the permission is missing', async () => {
  const { wrapped } = await keys.wrap(dataKey, 'aad')
  server.refuse({ code: grpc.status.PERMISSION_DENIED, details: 'denied', times: 1 })
  await expect(keys.unwrap(wrapped, 'aad')).rejects.toMatchObject({ code: 'store_unavailable' })
})
