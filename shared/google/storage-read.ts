import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { CodedError } from '../errors.ts'
import { asBuffer } from './crc32c.ts'
import { timeLimited, withRetries, type StorageDeps } from './storage-retry.ts'
import { codeOf } from './vendor-error.ts'

/** What one piece holds at most; a socket gives up to 64 KiB at a time, so that this hardly ever splits one. */
const PIECE_BYTES = 256 * 1024
const HANDLERS_MAX = 20

/**
 * The bytes of an object as they come. A connection that breaks in the middle is taken up again where it broke: objects
 * are immutable, so the rest is the rest of the same bytes. The checksum is compared at the end; a reader that acts on
 * the bytes before that has its own seal to check.
 */
export async function* readObject(deps: StorageDeps, name: string): AsyncGenerator<Uint8Array> {
  const what = `read object ${name}`
  const sum = (await deps.bucket()).crc32cGenerator()
  let offset = 0
  let expected: string | undefined
  for (let failures = 0; ;) {
    // Only what comes before the first byte is retried inside; a stream that broke later begins anew from `offset`.
    const from = offset
    const opened = await withRetries(deps, what, () => open(deps, name, from))
    expected ??= opened.crc32c
    try {
      for await (const piece of opened.pieces) {
        offset += piece.byteLength
        sum.update(asBuffer(piece))
        yield piece
      }
      break
    } catch (error) {
      if (++failures >= deps.retry.tries) throw new CodedError('store_unavailable', what, { cause: error })
    }
  }
  if (expected !== undefined && expected !== sum.toString()) {
    throw new CodedError('bad_bytes', `object ${name} does not have the checksum it was stored with`)
  }
}

interface Opened {
  /** Of the whole object. */
  crc32c?: string | undefined
  pieces: AsyncIterable<Uint8Array>
}

/** Answers once the first bytes are there, so that a refusal of any kind comes from here. */
async function open(deps: StorageDeps, name: string, from: number): Promise<Opened> {
  const { bucket, prefix, clock, meter, retry } = deps
  meter.count('objectReads', 1, 'read an object')
  const range = from > 0 ? { start: from } : {}
  const stream = (await bucket())
    .file(prefix + name)
    .createReadStream({ validation: false, decompress: false, ...range })
  let checksum: string | undefined
  stream.on('response', (response: IncomingMessage & { body?: EventEmitter }) => {
    // The client pipes a body twice, which is 11 handlers; Node would warn of a leak at every download.
    response.body?.setMaxListeners(HANDLERS_MAX)
    const hashes = String(response.headers['x-goog-hash'] ?? '')
    checksum = /crc32c=([^,\s]+)/.exec(hashes)?.[1]
  })
  const chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  const next = () =>
    timeLimited(clock, retry.tryTimeoutMs, chunks.next(), () => {
      stream.destroy()
    })
  let first: IteratorResult<Buffer>
  try {
    first = await next()
  } catch (error) {
    if (codeOf(error) === 404) throw new CodedError('blob_missing', `no object ${name}`, { cause: error })
    // "Range not satisfiable": the stream broke after the last byte.
    if (codeOf(error) === 416 && from > 0) return { crc32c: checksum, pieces: (async function* () {})() }
    throw error
  }
  async function* pieces(): AsyncGenerator<Uint8Array> {
    try {
      for (let got = first; got.done !== true; got = await next()) {
        for (let at = 0; at < got.value.byteLength; at += PIECE_BYTES) {
          yield new Uint8Array(got.value.subarray(at, at + PIECE_BYTES))
        }
      }
    } finally {
      // Also when the reader stops early: the rest must not be downloaded into nowhere.
      stream.destroy()
    }
  }
  return { crc32c: checksum, pieces: pieces() }
}
