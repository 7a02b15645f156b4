import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Bucket, File } from '@google-cloud/storage'
import type { Clock } from '../clock.ts'
import { CodedError } from '../errors.ts'
import type { BlobStore } from '../store/blob-store.ts'
import { asBuffer } from './crc32c.ts'
import { readObject } from './storage-read.ts'
import { STORAGE_RETRY, timeLimited, withRetries, type StorageDeps } from './storage-retry.ts'
import { codeOf } from './vendor-error.ts'

const LIST_PAGE = 1000

/**
 * The client is loaded and made for the first call: control can do without it most of the time.
 * `emulatorHost` is a whole address, `http://127.0.0.1:9199`.
 */
export function openBucket(name: string, project: string, emulatorHost?: string): () => Promise<Bucket> {
  let made: Promise<Bucket> | undefined
  return () => (made ??= createBucket(name, project, emulatorHost))
}

async function createBucket(name: string, project: string, emulatorHost?: string): Promise<Bucket> {
  const { Storage } = await import('@google-cloud/storage')
  const storage = new Storage({
    projectId: project,
    retryOptions: { autoRetry: false, maxRetries: 0 },
    timeout: STORAGE_RETRY.tryTimeoutMs,
    ...(emulatorHost !== undefined && { apiEndpoint: emulatorHost, useAuthWithCustomEndpoint: false }),
  })
  return storage.bucket(name)
}

/** Longer than Node lets a request to control take (server.requestTimeout, five minutes), which is where such parts come from. */
const PIECEMEAL_WITHIN_MS = 360_000

/** Objects in one bucket, under their own names. Nothing is ever overwritten: every upload is "create only". */
export function storageBlobStore(deps: StorageDeps): BlobStore {
  const { bucket, prefix: own, clock, meter, retry } = deps
  const fileOf = async (name: string): Promise<File> => (await bucket()).file(own + name)

  return {
    async create(name, parts) {
      const what = `create object ${name}`
      if (Symbol.asyncIterator in parts) return createPiecemeal(what, name, parts)
      const sent = summary(await bucket(), parts)
      await withRetries(deps, what, async () => {
        meter.count('objectWrites', 1, 'create an object')
        try {
          await upload(clock, retry.tryTimeoutMs, await fileOf(name), parts, sent.crc32c)
        } catch (error) {
          // "Precondition failed": the name is taken, perhaps by this very upload, whose answer was lost.
          if (codeOf(error) !== 412) throw error
          meter.count('objectReads', 1, 'read back an object')
          const [stored] = await limited((await fileOf(name)).getMetadata())
          if (stored.crc32c !== sent.crc32c || Number(stored.size) !== sent.size) {
            throw new CodedError('blob_exists', `object ${name} exists`)
          }
        }
      })
    },

    read: (name) => readObject(deps, name),

    async list(prefix) {
      const names: string[] = []
      let pageToken: string | undefined
      do {
        const token = pageToken
        const [files, next] = await withRetries(deps, `list objects under ${prefix}`, async () => {
          meter.count('objectWrites', 1, 'list objects')
          const query = {
            prefix: own + prefix,
            autoPaginate: false,
            maxResults: LIST_PAGE,
            fields: 'items/name,nextPageToken',
          }
          const page = token === undefined ? query : { ...query, pageToken: token }
          return limited((await bucket()).getFiles(page))
        })
        names.push(...files.map((file) => file.name.slice(own.length)))
        pageToken = (next as { pageToken?: string } | null | undefined)?.pageToken
      } while (pageToken !== undefined)
      return names.toSorted()
    },

    async remove(name) {
      await withRetries(deps, `remove object ${name}`, async () => {
        try {
          await limited((await fileOf(name)).delete())
        } catch (error) {
          if (codeOf(error) !== 404) throw error
        }
      })
    },
  }

  /** One request, once: the parts are gone after it. */
  async function createPiecemeal(
    what: string,
    name: string,
    parts: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const file = await fileOf(name)
    const sum = (await bucket()).crc32cGenerator()
    async function* summed(): AsyncGenerator<Uint8Array> {
      for await (const part of parts) {
        sum.update(asBuffer(part))
        yield part
      }
    }
    meter.count('objectWrites', 1, 'create an object')
    try {
      await upload(clock, PIECEMEAL_WITHIN_MS, file, summed())
      const [stored] = await limited(file.getMetadata())
      if (stored.crc32c === sum.toString()) return
    } catch (error) {
      if (error instanceof CodedError) throw error
      if (codeOf(error) === 412) throw new CodedError('blob_exists', `object ${name} exists`)
      throw new CodedError('store_unavailable', what, { cause: error })
    }
    await limited(file.delete())
    throw new CodedError('store_unavailable', `${what}: its bytes were damaged on the way`)
  }

  function limited<T>(work: Promise<T>): Promise<T> {
    return timeLimited(clock, retry.tryTimeoutMs, work, () => {})
  }
}

/** What an object of these parts has to be, in the words of Cloud Storage. */
function summary(bucket: Bucket, parts: readonly Uint8Array[]): { crc32c: string; size: number } {
  const sum = bucket.crc32cGenerator()
  let size = 0
  for (const part of parts) {
    sum.update(asBuffer(part))
    size += part.byteLength
  }
  return { crc32c: sum.toString(), size }
}

/**
 * One request. The checksum goes along with the object's metadata, so that Cloud Storage itself refuses damaged bytes
 * before anything is visible; the client's check would come afterwards and delete by name (docs/facts/google-cloud.md §3).
 */
async function upload(
  clock: Clock,
  withinMs: number,
  file: File,
  parts: readonly Uint8Array[] | AsyncIterable<Uint8Array>,
  checksum?: string,
): Promise<void> {
  const target = file.createWriteStream({
    resumable: false,
    validation: false,
    preconditionOpts: { ifGenerationMatch: 0 },
    metadata: {
      ...(checksum !== undefined && { crc32c: checksum }),
      contentType: 'application/octet-stream',
    },
    timeout: withinMs,
  })
  const done = pipeline(Readable.from(parts, { objectMode: false }), target)
  await timeLimited(clock, withinMs, done, () => target.destroy())
}
