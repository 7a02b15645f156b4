export interface Frame {
  type: number
  flags: number
}

/** Types of HTTP/2 frames that carry an answer, and the flag of the last one (RFC 9113 §6.1, §6.2). */
const DATA = 0
const HEADERS = 1
const END_STREAM = 0x1
const HEADER_BYTES = 9

/** Reads the headers of frames out of one direction of a connection, however its packets are cut. */
export function createFrameReader(): (packet: Buffer) => Frame[] {
  let head = Buffer.alloc(0)
  let payloadLeft = 0
  return (packet) => {
    const frames: Frame[] = []
    for (let at = 0; at < packet.length;) {
      if (payloadLeft > 0) {
        const skipped = Math.min(payloadLeft, packet.length - at)
        payloadLeft -= skipped
        at += skipped
        continue
      }
      const taken = packet.subarray(at, at + HEADER_BYTES - head.length)
      head = Buffer.concat([head, taken])
      at += taken.length
      if (head.length < HEADER_BYTES) break
      payloadLeft = head.readUIntBE(0, 3)
      frames.push({ type: head[3] ?? 0, flags: head[4] ?? 0 })
      head = Buffer.alloc(0)
    }
    return frames
  }
}

/** Settings, pings and window updates must pass, or no request is ever sent. */
export const carriesAnswer = ({ type }: Frame): boolean => type === DATA || type === HEADERS

export const endsAnswer = (frame: Frame): boolean => carriesAnswer(frame) && (frame.flags & END_STREAM) !== 0
