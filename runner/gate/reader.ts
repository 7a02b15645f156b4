import { once } from 'node:events'
import { CodedError } from '#shared/errors.ts'
import { importKind, readImport } from '../state/read-import.ts'
import { FRAMES, frame } from './frames.ts'

/**
 * The program of the child process that reads a tenant's bytes (`child.ts` starts it). In: a line of JSON with what was
 * asked, then the bytes, to the end. Out: frames. It has no settings, no store and no key, so there is nothing to be had from it.
 */

/** What comes in the first line. */
export interface Ask {
  bytesMax: number
  nowMs: number
  cleanlyStopped: boolean
  passphrase?: string
}

const LINE_FEED = 0x0a

async function main(): Promise<void> {
  const { ask, bytes } = await readAll()
  const { bytesMax: _, nowMs, ...kind } = ask
  const { records, warnings } = await readImport(bytes, importKind(bytes, kind), nowMs)
  for (const { packed } of records.repack()) await say(FRAMES.chunk, packed)
  await say(FRAMES.done, Buffer.from(JSON.stringify({ warnings })))
}

/** Into room that is taken as it is filled; pieces that are put together at the end would be there twice. */
async function readAll(): Promise<{ ask: Ask; bytes: Uint8Array }> {
  let ask: Ask | undefined
  let room = Buffer.alloc(0)
  let length = 0
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    let rest = piece
    if (!ask) {
      room = Buffer.concat([room, piece])
      const end = room.indexOf(LINE_FEED)
      if (end < 0) continue
      ask = JSON.parse(room.toString('utf8', 0, end)) as Ask
      rest = room.subarray(end + 1)
      room = Buffer.allocUnsafeSlow(ask.bytesMax)
    }
    if (length + rest.length > room.length) throw new CodedError('bad_import', 'import: it is too large')
    rest.copy(room, length)
    length += rest.length
  }
  if (!ask) throw new CodedError('bad_import', 'import: nothing was sent')
  return { ask, bytes: room.subarray(0, length) }
}

async function say(kind: number, bytes: Uint8Array): Promise<void> {
  if (!process.stdout.write(frame(kind, bytes))) await once(process.stdout, 'drain')
}

await main().catch(async (error: unknown) => {
  const { code, message } = error instanceof CodedError ? error : { code: 'internal', message: '' }
  await say(FRAMES.refused, Buffer.from(JSON.stringify({ code, message })))
})
