import { randomUUID } from 'node:crypto'
import { Refusal, type BucketSet, type Preconditions, type StoredObject } from './storage-objects.ts'

export interface Asked {
  method: string
  url: URL
  headers: Record<string, string | string[] | undefined>
  body: Buffer
}

export interface Answered {
  status: number
  headers: Record<string, string>
  body: Buffer
}

interface Upload {
  bucket: string
  name: string
  about: { contentType?: string; crc32c?: string; metadata?: Record<string, string> }
  preconditions: Preconditions
  bytes: Buffer
}

/** The part of the JSON API that clients of ours, and people with curl, use. Both forms of the paths are taken. */
export function createStorageRoutes(buckets: BucketSet, baseUrl: () => string): (asked: Asked) => Answered {
  const uploads = new Map<string, Upload>()

  return (asked) => {
    try {
      return route(asked)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { status, message } = error
      return json(status, { error: { code: status, message, errors: [{ message, reason: 'refused' }] } })
    }
  }

  function route(asked: Asked): Answered {
    const { method, url } = asked
    const path = url.pathname.replace(/^\/download/, '').replace(/^\/storage\/v1/, '')
    const upload = /^\/(?:resumable\/)?upload\/storage\/v1\/b\/([^/]+)\/o$/.exec(path)
    if (upload) return receive(asked, decodeURIComponent(upload[1] ?? ''))
    const [, area, bucket = '', objects, name] = path.split('/').map(decodeURIComponent)
    if (area !== 'b') throw new Refusal(404, `no such path: ${path}`)
    if (bucket === '' && method === 'POST') {
      const created = JSON.parse(asked.body.toString() || '{}') as { name: string }
      buckets.addBucket(created.name)
      return json(200, { kind: 'storage#bucket', name: created.name })
    }
    if (objects === undefined) {
      buckets.bucket(bucket)
      return json(200, { kind: 'storage#bucket', name: bucket })
    }
    if (name === undefined) return list(url, bucket)
    if (method === 'DELETE') {
      buckets.remove(bucket, name, preconditionsOf(url))
      return { status: 204, headers: {}, body: Buffer.alloc(0) }
    }
    const found = buckets.get(bucket, name, preconditionsOf(url))
    return url.searchParams.get('alt') === 'media' ? media(asked, found) : json(200, resource(bucket, found))
  }

  function receive(asked: Asked, bucket: string): Answered {
    const { method, url, headers, body } = asked
    const query = url.searchParams
    const uploadId = query.get('upload_id')
    if (uploadId !== null) return goOn(asked, uploadId)
    buckets.bucket(bucket)
    if (query.get('uploadType') === 'resumable') {
      const about = JSON.parse(body.toString() || '{}') as Upload['about'] & { name?: string }
      const id = randomUUID()
      uploads.set(id, {
        bucket,
        name: query.get('name') ?? about.name ?? '',
        about,
        preconditions: preconditionsOf(url),
        bytes: Buffer.alloc(0),
      })
      const location = `${baseUrl()}/upload/storage/v1/b/${bucket}/o?uploadType=resumable&upload_id=${id}`
      return { status: 200, headers: { location }, body: Buffer.alloc(0) }
    }
    if (method !== 'POST') throw new Refusal(405, 'uploads are posted')
    const multipart = query.get('uploadType') === 'multipart'
    const { about, bytes } = multipart
      ? parts(String(headers['content-type']), body)
      : { about: { contentType: String(headers['content-type']) }, bytes: body }
    const name = query.get('name') ?? (about as { name?: string }).name ?? ''
    return json(200, resource(bucket, buckets.put(bucket, name, bytes, about, preconditionsOf(url))))
  }

  /** A further piece of a resumable upload, or a question how far it is. */
  function goOn({ headers, body }: Asked, id: string): Answered {
    const upload = uploads.get(id)
    if (!upload) throw new Refusal(404, 'no such upload')
    const range = /bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)/.exec(String(headers['content-range'] ?? ''))
    const from = Number(range?.[1] ?? upload.bytes.length)
    upload.bytes = Buffer.concat([upload.bytes.subarray(0, from), body])
    const total = range?.[3] === '*' ? undefined : Number(range?.[3] ?? upload.bytes.length)
    if (total === undefined || upload.bytes.length < total) {
      const got = upload.bytes.length
      const header: Record<string, string> = got === 0 ? {} : { range: `bytes=0-${got - 1}` }
      return { status: 308, headers: header, body: Buffer.alloc(0) }
    }
    uploads.delete(id)
    const { bucket, name, bytes, about, preconditions } = upload
    return json(200, resource(bucket, buckets.put(bucket, name, bytes, about, preconditions)))
  }

  function list(url: URL, bucket: string): Answered {
    const query = url.searchParams
    const page = buckets.list(bucket, {
      prefix: query.get('prefix') ?? '',
      pageToken: Buffer.from(query.get('pageToken') ?? '', 'base64url').toString(),
      maxResults: Number(query.get('maxResults') ?? 1000),
      delimiter: query.get('delimiter') ?? '',
    })
    const { nextPageToken } = page
    return json(200, {
      kind: 'storage#objects',
      items: page.items.map((found) => resource(bucket, found)),
      prefixes: page.prefixes,
      ...(nextPageToken !== undefined && { nextPageToken: Buffer.from(nextPageToken).toString('base64url') }),
    })
  }
}

function media({ headers }: Asked, found: StoredObject): Answered {
  const about = {
    'content-type': found.contentType,
    'x-goog-hash': `crc32c=${found.crc32c},md5=${found.md5Hash}`,
    'x-goog-generation': String(found.generation),
    'x-goog-stored-content-encoding': 'identity',
    'accept-ranges': 'bytes',
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(String(headers['range'] ?? ''))
  if (!range) return { status: 200, headers: about, body: found.bytes }
  const from = Number(range[1])
  if (from >= found.bytes.length) throw new Refusal(416, 'The requested range cannot be satisfied.')
  const to = range[2] === '' ? found.bytes.length - 1 : Math.min(Number(range[2]), found.bytes.length - 1)
  const part = { ...about, 'content-range': `bytes ${from}-${to}/${found.bytes.length}` }
  return { status: 206, headers: part, body: found.bytes.subarray(from, to + 1) }
}

/** `multipart/related`: the resource as JSON, then the bytes. */
function parts(contentType: string, body: Buffer): { about: Upload['about']; bytes: Buffer } {
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1]
  if (boundary === undefined) throw new Refusal(400, 'multipart without a boundary')
  const mark = Buffer.from(`--${boundary}`)
  const cuts: number[] = []
  for (let at = body.indexOf(mark); at !== -1; at = body.indexOf(mark, at + mark.length)) cuts.push(at)
  const [first = 0, second = 0] = cuts
  const last = cuts.at(-1) ?? 0
  if (cuts.length < 3) throw new Refusal(400, 'multipart without two parts')
  const content = (from: number, to: number): Buffer => {
    const start = body.indexOf('\r\n\r\n', from) + 4
    return body.subarray(start, to - 2)
  }
  return {
    about: JSON.parse(content(first, second).toString() || '{}') as Upload['about'],
    bytes: Buffer.from(content(second, last)),
  }
}

function preconditionsOf(url: URL): Preconditions {
  const number = (name: string): number | undefined => {
    const text = url.searchParams.get(name)
    return text === null ? undefined : Number(text)
  }
  const [match, notMatch] = [number('ifGenerationMatch'), number('ifGenerationNotMatch')]
  return {
    ...(match !== undefined && { ifGenerationMatch: match }),
    ...(notMatch !== undefined && { ifGenerationNotMatch: notMatch }),
  }
}

const resource = (bucket: string, found: StoredObject): object => ({
  kind: 'storage#object',
  id: `${bucket}/${found.name}/${found.generation}`,
  name: found.name,
  bucket,
  generation: String(found.generation),
  metageneration: '1',
  contentType: found.contentType,
  storageClass: 'STANDARD',
  size: String(found.bytes.length),
  md5Hash: found.md5Hash,
  crc32c: found.crc32c,
  metadata: found.metadata,
  timeCreated: found.createdAt,
  updated: found.createdAt,
})

const json = (status: number, value: object): Answered => ({
  status,
  headers: { 'content-type': 'application/json; charset=UTF-8' },
  body: Buffer.from(JSON.stringify(value)),
})
