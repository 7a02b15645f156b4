import { createHash, randomBytes, scrypt } from 'node:crypto'
import { countCbor } from '#shared/cbor-walk.ts'
import { decodeCbor, encodeCbor } from '#shared/cbor.ts'
import { open, seal, type OpenKey } from '#shared/envelope.ts'
import { CodedError, hasCode } from '#shared/errors.ts'
import { readForeignChunk, RecordMap } from './record-map.ts'

/**
 * The bundle of before there was age (`plain-bundle.ts` is what exports are made of now). Whoever has one can still import it;
 * the writer is here for the tests of the reader alone, and because it says what the format is.
 */

/** What a bundle says of itself; sealed like the rest. */
export type BundleMeta = Readonly<Record<string, string | number>>

/** How hard a passphrase is to guess: memory is `128 × 2^logN × r` bytes, time grows with `p`. */
export interface BundleCost {
  logN: number
  r: number
  p: number
}

/** 64 MiB and two rounds, one of the equal choices of the OWASP Password Storage Cheat Sheet. */
const COST: BundleCost = { logN: 16, r: 8, p: 2 }
/** A bundle comes from outside: its header must not make us spend more than this. */
const COST_MAX = { memoryBytes: 64 * 1024 * 1024, p: 4 }
/** What a bundle may unfold to; the largest state to expect is 200 MB (docs/facts/baileys.md §3). */
export const RECORDS_BYTES_MAX = 256 * 1024 * 1024

/** Ours have a dozen. */
export const META_ITEMS_MAX = 200

const MAGIC = Buffer.from('MOORBUN')
const VERSION = 1
const SALT_BYTES = 16
const PROOF_BYTES = 16
const SUM_BYTES = 8
const COST_AT = MAGIC.length + 1
const SALT_AT = COST_AT + 3
const PROOF_AT = SALT_AT + SALT_BYTES
const SUM_AT = PROOF_AT + PROOF_BYTES
const HEAD_BYTES = SUM_AT + SUM_BYTES
/** There is one key only; its id has the length that envelopes want. */
const KEY_ID = 'password'

/**
 * A whole state under a passphrase, to be carried to another installation. Layout: a head of magic, version, cost, salt,
 * proof of the passphrase and checksum; then frames of a 32-bit length and an envelope, the first with the meta, each other
 * one with a chunk of records. Every frame is bound to the head, its index and whether it is the last.
 */
export async function exportBundle(bundle: {
  records: RecordMap
  meta: BundleMeta
  passphrase: string
  /** For tests. */
  cost?: BundleCost
}): Promise<readonly Uint8Array[]> {
  const { records, meta, passphrase, cost = COST } = bundle
  const salt = randomBytes(SALT_BYTES)
  const { key, proof } = await derive(passphrase, salt, cost)
  const costBytes = Buffer.of(cost.logN, cost.r, cost.p)
  const head = Buffer.concat([MAGIC, Buffer.of(VERSION), costBytes, salt, proof])
  const parts: Uint8Array[] = [Buffer.concat([head, checksum(head)])]
  const frames = [encodeCbor(meta), ...records.repack().map(({ packed }) => packed)]
  for (const [index, frame] of frames.entries()) {
    const sealed = seal(key, frame, frameAad(head, index, index === frames.length - 1))
    const length = Buffer.alloc(4)
    length.writeUInt32BE(sealed.length)
    parts.push(length, sealed)
  }
  return parts
}

/** @throws CodedError `wrong_passphrase`, and `bad_import` for whatever is no whole, untouched bundle */
export async function openBundle(
  bytes: Uint8Array,
  passphrase: string,
): Promise<{ records: RecordMap; meta: BundleMeta }> {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const { head, cost, salt, proof } = readHead(view)
  const derived = await derive(passphrase, salt, cost).catch((cause: unknown) => {
    throw new CodedError('bad_import', 'open bundle: its cost is out of range', { cause })
  })
  if (!derived.proof.equals(proof))
    throw new CodedError('wrong_passphrase', 'open bundle: the passphrase is another one')
  try {
    return openFrames(readFrames(view), head, derived.key)
  } catch (error) {
    if (!hasCode(error, 'bad_bytes')) throw error
    throw new CodedError('bad_import', 'open bundle: it is damaged', { cause: error })
  }
}

function readHead(view: Buffer): { head: Buffer; cost: BundleCost; salt: Buffer; proof: Buffer } {
  if (view.length < HEAD_BYTES || !view.subarray(0, MAGIC.length).equals(MAGIC))
    throw new CodedError('bad_import', 'open bundle: this is no bundle')
  if (view[MAGIC.length] !== VERSION)
    throw new CodedError('bad_import', `open bundle: version ${view[MAGIC.length]} is not known`)
  const head = view.subarray(0, SUM_AT)
  // Without this a damaged salt would look like a wrong passphrase.
  if (!checksum(head).equals(view.subarray(SUM_AT, HEAD_BYTES)))
    throw new CodedError('bad_import', 'open bundle: its head is damaged')
  const [logN = 0, r = 0, p = 0] = view.subarray(COST_AT, SALT_AT)
  const isBearable = logN >= 1 && logN <= 24 && r >= 1 && p >= 1 && p <= COST_MAX.p
  if (!isBearable || 128 * 2 ** logN * r > COST_MAX.memoryBytes)
    throw new CodedError('bad_import', 'open bundle: opening it would cost too much')
  const salt = view.subarray(SALT_AT, PROOF_AT)
  return { head, cost: { logN, r, p }, salt, proof: view.subarray(PROOF_AT, SUM_AT) }
}

function readFrames(view: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = HEAD_BYTES; at < view.length;) {
    const end = at + 4 <= view.length ? at + 4 + view.readUInt32BE(at) : Infinity
    if (end > view.length) throw new CodedError('bad_bytes', 'open bundle: it is cut off')
    frames.push(view.subarray(at + 4, end))
    at = end
  }
  return frames
}

function openFrames(
  frames: readonly Buffer[],
  head: Buffer,
  key: OpenKey,
): { records: RecordMap; meta: BundleMeta } {
  const find = (id: string): OpenKey | undefined => (id === KEY_ID ? key : undefined)
  const opened = frames.map((sealed, index) =>
    open(find, sealed, frameAad(head, index, index === frames.length - 1)),
  )
  const [first, ...chunks] = opened
  if (!first) throw new CodedError('bad_bytes', 'open bundle: it is empty')
  const records = new RecordMap()
  for (const packed of chunks) {
    // Set one by one: whoever knows a passphrase can make a bundle, and a map relies on the order of its chunks.
    for (const [name, value] of readForeignChunk(packed)) records.set(name, value)
    if (records.overBytes > RECORDS_BYTES_MAX)
      throw new CodedError('bad_bytes', 'open bundle: it is too large')
  }
  countCbor(first, META_ITEMS_MAX)
  return { records, meta: toMeta(decodeCbor(first)) }
}

function toMeta(value: unknown): BundleMeta {
  const isMeta = typeof value === 'object' && value !== null && !Array.isArray(value)
  const fields: [string, unknown][] = isMeta ? Object.entries(value) : [['', undefined]]
  if (!fields.every((field): field is [string, string | number] => isPlain(field[1])))
    throw new CodedError('bad_bytes', 'open bundle: its meta is not known')
  return Object.fromEntries(fields)
}

const isPlain = (value: unknown): boolean => typeof value === 'string' || typeof value === 'number'

const frameAad = (head: Buffer, index: number, last: boolean): string =>
  `bundle|${head.toString('hex')}|${index}|${last ? 'last' : 'more'}`

const checksum = (head: Buffer): Buffer => createHash('sha256').update(head).digest().subarray(0, SUM_BYTES)

/** Off the event loop. The proof is derived beside the key and says nothing about it. */
async function derive(
  passphrase: string,
  salt: Uint8Array,
  cost: BundleCost,
): Promise<{ key: OpenKey; proof: Buffer }> {
  const { r, p } = cost
  const N = 2 ** cost.logN
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    const options = { N, r, p, maxmem: 128 * N * r + 128 * r * p + (1 << 20) }
    scrypt(passphrase.normalize('NFKC'), salt, 32 + PROOF_BYTES, options, (error, derived) =>
      error ? reject(error) : resolve(derived),
    )
  })
  return { key: { id: KEY_ID, bytes: bytes.subarray(0, 32) }, proof: bytes.subarray(32) }
}
