import { createReadStream } from 'node:fs'
import { open, readFile, truncate } from 'node:fs/promises'
import { decodeCbor, encodeCbor } from '#shared/cbor.ts'
import { CodedError } from '#shared/errors.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'

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

/** Layout of a tail: per entry its length in 32 bits, then CBOR `[seq, epoch, nonce, sealed]`. */
const LENGTH_BYTES = 4
const BASE_HEAD_BYTES = 16

export function encodeFrame(entry: JournalEntry): Uint8Array {
  const body = encodeCbor([entry.seq, entry.epoch, entry.nonce, entry.sealed])
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, body])
}

/** Epoch and seq of the base, so that it can be opened without its record. */
export function encodeBaseHead(head: { epoch: number; seq: number }): Uint8Array {
  const bytes = Buffer.alloc(BASE_HEAD_BYTES)
  bytes.writeBigUInt64BE(BigInt(head.epoch), 0)
  bytes.writeBigUInt64BE(BigInt(head.seq), 8)
  return bytes
}

export async function loadCopy(basePath: string, tailPath: string): Promise<LocalCopy | undefined> {
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
export function framesAfter(bytes: Buffer, seq: number): readonly Uint8Array[] {
  try {
    return [...framesOf(bytes)].filter((frame) => decodeFrame(frame).seq > seq)
  } catch {
    return []
  }
}

/** The entries that follow the base without a gap, and how far the tail is good; what is torn is left out. */
function decodeTail(bytes: Buffer, baseSeq: number): { entries: JournalEntry[]; length: number } {
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
