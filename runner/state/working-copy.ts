import { appendFile, mkdir, open, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '#shared/log.ts'
import { CodedError, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import { decodeCbor, encodeCbor } from '#shared/cbor.ts'

/** What a disk that survived holds of a session. */
export interface LocalCopy {
  /** Where its base stands; seq 0 for none. */
  head: { epoch: number; seq: number }
  /** The bytes of the base, exactly those of the snapshot object; absent when the session has none yet. */
  pieces?: AsyncIterable<Uint8Array>
  /** The entries after the base, in order. */
  tail: readonly JournalEntry[]
  /** Of the last entry. */
  seq: number
  epoch: number
  nonce: string
}

/**
 * The runner's local, disposable copies: per session the last snapshot as it was written and the journal entries since,
 * sealed as they are in the store. They only save a download at the next start, so a disk that is full or read-only ends
 * them for the session and nothing else.
 */
export interface WorkingCopies {
  load(key: SessionKey): Promise<LocalCopy | undefined>
  /** Notes an entry that is durable in the store. Returns at once; written behind. */
  append(key: SessionKey, entry: JournalEntry): void
  /** Replaces the base, and forgets the entries up to its seq. */
  rebase(key: SessionKey, head: { epoch: number; seq: number }, parts: readonly Uint8Array[]): Promise<void>
  drop(key: SessionKey): Promise<void>
  /** Resolves when all that was noted is on the disk, or given up. */
  settle(): Promise<void>
}

/** Written behind in batches: a working copy that misses the last entries is as good as one that has them. */
const WRITE_AFTER_MS = 200
/** Beyond this a tail costs more to replay than the snapshot it follows costs to load. */
const TAIL_BYTES_MAX = 8 * 1024 * 1024

export function fileWorkingCopies(dir: string, log: Log): WorkingCopies {
  const tails = new Map<SessionKey, { waiting: Uint8Array[]; bytes: number; off: boolean }>()
  let timer: NodeJS.Timeout | undefined
  let working: Promise<unknown> = mkdir(dir, { recursive: true, mode: 0o700 }).catch((error: unknown) =>
    log.warn(
      { error: toError(error), dir },
      'the working directory cannot be made; sessions go on in memory',
    ),
  )

  const file = (key: SessionKey, kind: 'base' | 'tail'): string =>
    join(dir, `${encodeURIComponent(key)}.${kind}`)

  /** One thing at a time: what is loaded, kept and forgotten must never cross. */
  const queue = <T>(work: () => Promise<T>): Promise<T> => {
    const done = working.then(work)
    working = done.catch(() => undefined)
    return done
  }

  const cannotWrite = (key: SessionKey, error: unknown): void =>
    log.warn(
      { error: toError(error), sessionKey: key },
      'the working copy cannot be written; the session goes on in memory',
    )

  async function flush(): Promise<void> {
    for (const [key, tail] of tails) {
      if (tail.waiting.length === 0) continue
      const bytes = Buffer.concat(tail.waiting)
      tail.waiting = []
      try {
        await appendFile(file(key, 'tail'), bytes, { mode: 0o600 })
      } catch (error) {
        tail.off = true
        cannotWrite(key, error)
        await remove(file(key, 'tail'))
      }
    }
  }

  return {
    load: (key) =>
      queue(() => loadCopy(file(key, 'base'), file(key, 'tail')).catch((): undefined => undefined)),

    append(key, entry) {
      const tail = tails.get(key) ?? { waiting: [], bytes: 0, off: false }
      tails.set(key, tail)
      if (tail.off) return
      const frame = encodeFrame(entry)
      tail.bytes += frame.length
      if (tail.bytes > TAIL_BYTES_MAX) tail.off = true
      tail.waiting.push(frame)
      timer ??= setTimeout(() => {
        timer = undefined
        void queue(flush)
      }, WRITE_AFTER_MS)
      timer.unref()
    },

    rebase: (key, head, parts) =>
      queue(async () => {
        const base = file(key, 'base')
        const tail = file(key, 'tail')
        try {
          const kept = framesAfter(await readFile(tail).catch(() => Buffer.alloc(0)), head.seq)
          await writeFile(`${base}.new`, [encodeBaseHead(head), ...parts], { mode: 0o600 })
          await writeFile(`${tail}.new`, kept, { mode: 0o600 })
          // The base first: an older tail than the base is skipped as far as the base goes, a newer one has a gap.
          await rename(`${base}.new`, base)
          await rename(`${tail}.new`, tail)
          const waiting = (tails.get(key)?.waiting ?? []).filter((frame) => seqOf(frame) > head.seq)
          const bytes = [...kept, ...waiting].reduce((sum, frame) => sum + frame.length, 0)
          tails.set(key, { waiting, bytes, off: false })
        } catch (error) {
          cannotWrite(key, error)
          await remove(`${base}.new`)
          await remove(`${tail}.new`)
        }
      }),

    drop(key) {
      tails.delete(key)
      return queue(async () => {
        await remove(file(key, 'base'))
        await remove(file(key, 'tail'))
      })
    },

    async settle() {
      clearTimeout(timer)
      timer = undefined
      await queue(flush)
    },
  }
}

const remove = (path: string): Promise<void> => rm(path, { force: true }).catch(() => undefined)

const LENGTH_BYTES = 4
const BASE_HEAD_BYTES = 16

function encodeFrame(entry: JournalEntry): Uint8Array {
  const body = encodeCbor([entry.seq, entry.epoch, entry.nonce, entry.sealed])
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, body])
}

const seqOf = (frame: Uint8Array): number => decodeFrame(frame).seq

/** Epoch and seq of the base, so that it can be opened without its record. */
function encodeBaseHead(head: { epoch: number; seq: number }): Uint8Array {
  const bytes = Buffer.alloc(BASE_HEAD_BYTES)
  bytes.writeBigUInt64BE(BigInt(head.epoch), 0)
  bytes.writeBigUInt64BE(BigInt(head.seq), 8)
  return bytes
}

async function loadCopy(basePath: string, tailPath: string): Promise<LocalCopy | undefined> {
  const head = await readBaseHead(basePath)
  const bytes = await readFile(tailPath).catch(() => Buffer.alloc(0))
  const { entries: tail, length } = decodeTail(bytes, head.seq)
  // What is noted next must follow a whole frame, or nobody could read it.
  if (length < bytes.length) await truncate(tailPath, length)
  const last = tail.at(-1)
  // A base alone has no nonce to compare; the store's own snapshot is as near.
  if (!last) return undefined
  const { seq, epoch, nonce } = last
  return { head, ...(head.seq > 0 ? { pieces: piecesOf(basePath) } : {}), tail, seq, epoch, nonce }
}

/** Opens the file when it is read: a copy that is not chosen holds nothing open. */
async function* piecesOf(path: string): AsyncGenerator<Uint8Array> {
  for await (const piece of createReadStream(path, { start: BASE_HEAD_BYTES })) yield piece as Buffer
}

async function readBaseHead(path: string): Promise<{ epoch: number; seq: number }> {
  const handle = await open(path).catch(() => undefined)
  if (!handle) return { epoch: 0, seq: 0 }
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(BASE_HEAD_BYTES), 0, BASE_HEAD_BYTES, 0)
    if (bytesRead < BASE_HEAD_BYTES) return { epoch: 0, seq: 0 }
    return { epoch: Number(buffer.readBigUInt64BE(0)), seq: Number(buffer.readBigUInt64BE(8)) }
  } finally {
    await handle.close()
  }
}

/** The frames of a tail, whole ones only. */
function* framesOf(bytes: Buffer): Generator<Buffer> {
  let at = 0
  while (at + LENGTH_BYTES <= bytes.length) {
    const end = at + LENGTH_BYTES + bytes.readUInt32BE(at)
    if (end > bytes.length) return
    yield bytes.subarray(at, end)
    at = end
  }
}

/** The frames after a seq; none when the tail is damaged. */
function framesAfter(bytes: Buffer, seq: number): readonly Uint8Array[] {
  try {
    return [...framesOf(bytes)].filter((frame) => decodeFrame(frame).seq > seq)
  } catch {
    return []
  }
}

/** The entries that follow the base without a gap, and how far the tail is good; what is torn is left out. */
export function decodeTail(bytes: Buffer, baseSeq: number): { entries: JournalEntry[]; length: number } {
  const entries: JournalEntry[] = []
  let length = 0
  for (const frame of framesOf(bytes)) {
    const entry = tryFrame(frame)
    if (!entry || entry.seq > baseSeq + entries.length + 1) break
    if (entry.seq === baseSeq + entries.length + 1) entries.push(entry)
    length += frame.length
  }
  return { entries, length }
}

function tryFrame(frame: Uint8Array): JournalEntry | undefined {
  try {
    return decodeFrame(frame)
  } catch {
    return undefined
  }
}

/** @throws CodedError `bad_bytes` */
function decodeFrame(frame: Uint8Array): JournalEntry {
  const fields = decodeCbor(frame.subarray(LENGTH_BYTES))
  const [seq, epoch, nonce, sealed] = (Array.isArray(fields) ? fields : []) as unknown[]
  if (
    typeof seq !== 'number' ||
    typeof epoch !== 'number' ||
    typeof nonce !== 'string' ||
    !(sealed instanceof Uint8Array)
  )
    throw new CodedError('bad_bytes', 'read working copy: not an entry')
  return { seq, epoch, nonce, sealed }
}
