import { createHash } from 'node:crypto'
import { CRC32C } from '@google-cloud/storage'

export interface StoredObject {
  name: string
  bytes: Buffer
  generation: number
  contentType: string
  metadata: Record<string, string>
  crc32c: string
  md5Hash: string
  createdAt: string
}

/** A refusal as the JSON API words it. */
export class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface Preconditions {
  ifGenerationMatch?: number
  ifGenerationNotMatch?: number
}

/**
 * What Cloud Storage promises, as far as anything here leans on it (cloud.google.com/storage/docs/consistency and
 * /request-preconditions): a write is visible to every read and listing once it was answered; each write gives the name a
 * new, higher generation; `ifGenerationMatch=0` means "only if there is none"; a checksum that came along and does not fit
 * refuses the write.
 */
export function createBucketSet() {
  const buckets = new Map<string, Map<string, StoredObject>>()
  const forbidden = new Set<string>()
  let generation = 1_700_000_000_000_000

  function bucket(name: string): Map<string, StoredObject> {
    if (forbidden.has(name)) throw new Refusal(403, `caller does not have access to the bucket ${name}`)
    const objects = buckets.get(name)
    if (!objects) throw new Refusal(404, 'The specified bucket does not exist.')
    return objects
  }

  function check(
    found: StoredObject | undefined,
    { ifGenerationMatch, ifGenerationNotMatch }: Preconditions,
  ): void {
    const now = found?.generation ?? 0
    if (ifGenerationMatch !== undefined && ifGenerationMatch !== now) {
      throw new Refusal(412, 'At least one of the pre-conditions you specified did not hold.')
    }
    if (ifGenerationNotMatch !== undefined && ifGenerationNotMatch === now) {
      throw new Refusal(304, 'Not Modified')
    }
  }

  return {
    addBucket: (name: string) => void buckets.set(name, buckets.get(name) ?? new Map<string, StoredObject>()),
    forbid: (name: string) => void forbidden.add(name),
    bucket,
    put(
      bucketName: string,
      name: string,
      bytes: Buffer,
      about: { contentType?: string; crc32c?: string; md5Hash?: string; metadata?: Record<string, string> },
      preconditions: Preconditions,
    ): StoredObject {
      const objects = bucket(bucketName)
      check(objects.get(name), preconditions)
      const sum = new CRC32C()
      sum.update(bytes)
      const crc32c = sum.toString()
      const md5Hash = createHash('md5').update(bytes).digest('base64')
      if ((about.crc32c ?? crc32c) !== crc32c || (about.md5Hash ?? md5Hash) !== md5Hash) {
        throw new Refusal(400, 'Provided hash does not match the calculated hash.')
      }
      const stored: StoredObject = {
        name,
        bytes,
        generation: ++generation,
        contentType: about.contentType ?? 'application/octet-stream',
        metadata: about.metadata ?? {},
        crc32c,
        md5Hash,
        createdAt: new Date().toISOString(),
      }
      objects.set(name, stored)
      return stored
    },
    get(bucketName: string, name: string, preconditions: Preconditions = {}): StoredObject {
      const found = bucket(bucketName).get(name)
      if (!found) throw new Refusal(404, `No such object: ${bucketName}/${name}`)
      check(found, preconditions)
      return found
    },
    remove(bucketName: string, name: string, preconditions: Preconditions): void {
      const objects = bucket(bucketName)
      const found = objects.get(name)
      if (!found) throw new Refusal(404, `No such object: ${bucketName}/${name}`)
      check(found, preconditions)
      objects.delete(name)
    },
    list(
      bucketName: string,
      ask: { prefix: string; pageToken: string; maxResults: number; delimiter: string },
    ) {
      const all = [...bucket(bucketName).values()].filter(({ name }) => name.startsWith(ask.prefix))
      const inOrder = all.toSorted((a, b) => (a.name < b.name ? -1 : 1))
      const rest = inOrder.filter(({ name }) => name > ask.pageToken)
      const cut = (name: string): string | undefined => {
        const at = ask.delimiter === '' ? -1 : name.indexOf(ask.delimiter, ask.prefix.length)
        return at === -1 ? undefined : name.slice(0, at + ask.delimiter.length)
      }
      const page = rest.slice(0, ask.maxResults)
      return {
        items: page.filter(({ name }) => cut(name) === undefined),
        prefixes: [...new Set(page.flatMap(({ name }) => cut(name) ?? []))],
        nextPageToken: rest.length > page.length ? page.at(-1)?.name : undefined,
      }
    },
  }
}

export type BucketSet = ReturnType<typeof createBucketSet>

/** The same objects for somebody whose role has the condition of infra/iam.tf: names, and listings, that begin with one of these. */
export function onlyBelow(buckets: BucketSet, prefixes: readonly string[]): BucketSet {
  const demand = (name: string): void => {
    if (!prefixes.some((prefix) => name.startsWith(prefix)))
      throw new Refusal(403, `caller does not have access to the object ${name}`)
  }
  return {
    ...buckets,
    put(bucket, name, ...rest) {
      demand(name)
      return buckets.put(bucket, name, ...rest)
    },
    get(bucket, name, ...rest) {
      demand(name)
      return buckets.get(bucket, name, ...rest)
    },
    remove(bucket, name, preconditions) {
      demand(name)
      buckets.remove(bucket, name, preconditions)
    },
    list(bucket, ask) {
      demand(ask.prefix)
      return buckets.list(bucket, ask)
    },
  }
}
