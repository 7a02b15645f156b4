import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '#shared/clock.ts'
import { noMeter } from '#shared/google/meter.ts'
import { openBucket, storageBlobStore } from '#shared/google/storage-blob-store.ts'
import { seededRandom } from '#shared/random.ts'
import type { BlobStore } from '#shared/store/blob-store.ts'
import type { Fault } from './fault-script.ts'
import { startStorageServer, type StorageServer } from './storage-server.ts'

const RETRY = { tries: 4, firstMs: 5, tryTimeoutMs: 500 }
const bytes = new Uint8Array(300_000).map((_, index) => (index * 7) & 0xff)

let server: StorageServer
let blobs: BlobStore
beforeEach(async () => {
  server = await startStorageServer({ buckets: ['b'] })
  blobs = storageBlobStore({
    bucket: openBucket('b', 'p', server.url),
    prefix: '',
    clock: systemClock,
    random: seededRandom(1),
    meter: noMeter,
    retry: RETRY,
  })
})
afterEach(() => server.close())

async function readAll(name: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of blobs.read(name)) pieces.push(piece)
  return new Uint8Array(Buffer.concat(pieces))
}
const stored = (name: string) => server.buckets.get('b', name).bytes
const sent = (line: string): number => server.requests.filter((request) => request.includes(line)).length

const passing: readonly [says: string, fault: Fault][] = [
  ['a 429', { do: 'status', status: 429 }],
  ['a 503', { do: 'status', status: 503 }],
  ['a 500', { do: 'status', status: 500 }],
  ['a connection that is reset', { do: 'reset' }],
  ['a lost answer', { do: 'lose_answer' }],
  ['an answer that does not come', { do: 'slow', ms: 5000 }],
]

describe('an upload', () => {
  test.for(passing)('gets over %s', async ([, fault]) => {
    server.inject({ on: 'POST', fault })
    await blobs.create('one', [bytes.subarray(0, 1000), bytes.subarray(1000)])
    expect(new Uint8Array(stored('one'))).toEqual(bytes)
  })

  test('is one request that can only create', async () => {
    await blobs.create('one', [bytes])
    expect(server.requests).toHaveLength(1)
    expect(server.requests[0]).toMatch(/^POST .*uploadType=multipart.*ifGenerationMatch=0/)
  })

  test('takes its own object for its own after a lost answer, and no other one', async () => {
    await blobs.create('taken', [Uint8Array.of(1)])
    server.inject({ on: 'name=mine', fault: { do: 'lose_answer' }, times: 2 })
    await blobs.create('mine', [bytes])
    await expect(blobs.create('taken', [Uint8Array.of(2)])).rejects.toMatchObject({ code: 'blob_exists' })
    expect([...stored('taken')]).toEqual([1])
    expect(sent('DELETE')).toBe(0)
  })

  test('gives up after a bounded number of tries', async () => {
    server.inject({ on: 'POST', fault: { do: 'status', status: 503 }, times: 100 })
    await expect(blobs.create('one', [bytes])).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(sent('POST')).toBe(RETRY.tries)
  })

  test('is not tried again when it is refused for good', async () => {
    server.inject({ on: 'POST', fault: { do: 'status', status: 403 }, times: 100 })
    await expect(blobs.create('one', [bytes])).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(sent('POST')).toBe(1)
  })

  test('works after one that failed: no failure switches the retries off', async () => {
    server.inject({ on: 'POST', fault: { do: 'status', status: 503 }, times: RETRY.tries })
    await expect(blobs.create('one', [bytes])).rejects.toMatchObject({ code: 'store_unavailable' })
    server.inject({ on: 'POST', fault: { do: 'status', status: 503 } })
    await blobs.create('one', [bytes])
    expect(stored('one')).toHaveLength(bytes.length)
  })
})

describe('a download', () => {
  beforeEach(() => blobs.create('one', [bytes]))

  test.for(passing)('gets over %s', async ([, fault]) => {
    server.inject({ on: 'GET', fault })
    expect(await readAll('one')).toEqual(bytes)
  })

  test('goes on where a connection broke', async () => {
    server.inject({ on: 'GET', fault: { do: 'cut_body' } })
    expect(await readAll('one')).toEqual(bytes)
    expect(sent('GET')).toBe(2)
  })

  test('says that bytes are bad which were changed on the way', async () => {
    server.inject({ on: 'GET', fault: { do: 'damage' } })
    await expect(readAll('one')).rejects.toMatchObject({ code: 'bad_bytes' })
  })

  test('comes in pieces of bounded size', async () => {
    for await (const piece of blobs.read('one')) expect(piece.byteLength).toBeLessThanOrEqual(256 * 1024)
  })

  test('that is broken off early leaves the store usable', async () => {
    for await (const piece of blobs.read('one')) {
      expect(piece.byteLength).toBeGreaterThan(0)
      break
    }
    expect(await readAll('one')).toEqual(bytes)
  })

  /**
   * In a process of its own: what it is about would end the process that runs the tests (docs/facts/google-cloud.md
   * §0.3).
   */
  test.for([429, 500, 503])('that is answered with %d does not end the process', async (status) => {
    server.inject({ on: 'GET', fault: { do: 'status', status } })
    const child = spawn(process.execPath, [import.meta.dirname + '/read-object.ts', server.url, 'b', 'one'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    child.stdout.on('data', (text: Buffer) => (said += text.toString()))
    const [code] = (await once(child, 'exit')) as [number | null]
    expect({ code, said }).toEqual({ code: 0, said: `${bytes.length}\n` })
  })
})

test('lists all pages, in order, and removes what is there or not', async () => {
  for (const name of ['p/c', 'p/a', 'q/x', 'p/b']) await blobs.create(name, [Uint8Array.of(1)])
  server.inject({ on: 'GET', fault: { do: 'status', status: 503 } })
  expect(await blobs.list('p/')).toEqual(['p/a', 'p/b', 'p/c'])
  server.inject({ on: 'DELETE', fault: { do: 'lose_answer' } })
  await blobs.remove('p/a')
  await blobs.remove('p/a')
  expect(await blobs.list('p/')).toEqual(['p/b', 'p/c'])
})
