import { CodedError } from '#shared/errors.ts'

/** What the reader of a tenant's bytes says: chunks of records, then that it is done, or why not. */
export const FRAMES = { chunk: 1, done: 2, refused: 3 } as const

const HEAD_BYTES = 5

/** Layout: kind, 32-bit length, bytes. */
export function frame(kind: number, bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head[0] = kind
  head.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** Frames as they come; none is put together, or believed to come, that is longer than `bytesMax`. */
export async function* framesOf(
  pieces: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<{ kind: number; bytes: Buffer }> {
  let held: Buffer[] = []
  let length = 0
  for await (const piece of pieces) {
    held.push(Buffer.from(piece.buffer, piece.byteOffset, piece.length))
    length += piece.length
    while (length >= HEAD_BYTES) {
      const [first] = held
      const head = first && first.length >= HEAD_BYTES ? first : Buffer.concat(held)
      const size = head.readUInt32BE(1)
      if (size > bytesMax) throw new CodedError('bad_bytes', 'read frames: one is too long')
      if (length < HEAD_BYTES + size) break
      const whole = Buffer.concat(held)
      yield { kind: whole[0] ?? 0, bytes: whole.subarray(HEAD_BYTES, HEAD_BYTES + size) }
      held = [whole.subarray(HEAD_BYTES + size)]
      length -= HEAD_BYTES + size
    }
  }
}
