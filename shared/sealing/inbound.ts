import { CodedError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import { ageOpenPieces, ageSealPieces } from './age.ts'
import { isAgeFile, judgeHeader } from './age-header.ts'
import type { AgeIdentity } from './age-identity.ts'

/**
 * What control hands to the runners in secret: an age file for the recipient whose identity only they have. Its first line
 * says for which job it is, so that it is good for no other. (What a client sealed by itself has no such line.)
 */
export const inboundPlace = (key: SessionKey, jobId: string, what: 'passphrase' | 'import'): string =>
  `mooring inbound v1|${key}|${jobId}|${what}`

const LINE_FEED = 0x0a

export const sealInbound = (
  pieces: AsyncIterable<Uint8Array>,
  recipient: string,
  place: string,
): AsyncGenerator<Uint8Array> => {
  async function* withPlace(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`${place}\n`)
    yield* pieces
  }
  return ageSealPieces(withPlace(), [recipient])
}

/** @throws CodedError `bad_import` when it is for another place, and what `ageOpenPieces` throws */
export async function* openInbound(
  file: AsyncIterable<Uint8Array>,
  identities: readonly AgeIdentity[],
  place: string,
): AsyncGenerator<Uint8Array> {
  const line = Buffer.from(`${place}\n`)
  let head: Buffer | undefined = Buffer.alloc(0)
  for await (const piece of ageOpenPieces(file, identities)) {
    if (!head) {
      yield piece
      continue
    }
    head = Buffer.concat([head, piece])
    if (head.length < line.length && !head.includes(LINE_FEED)) continue
    if (!head.subarray(0, line.length).equals(line)) throw elsewhere()
    yield head.subarray(line.length)
    head = undefined
  }
  if (head) throw elsewhere()
}

const elsewhere = (): CodedError =>
  new CodedError('bad_import', 'open what was sealed for a runner: it was sealed for another job')

/** A short secret as text that fits into the arguments of a job. */
export async function sealInboundText(text: string, recipient: string, place: string): Promise<string> {
  const pieces = (async function* () {
    yield Buffer.from(text, 'utf8')
  })()
  return Buffer.concat(await Array.fromAsync(sealInbound(pieces, recipient, place))).toString('base64')
}

/** @throws what `openInbound` throws */
export async function openInboundText(
  sealed: string,
  identities: readonly AgeIdentity[],
  place: string,
): Promise<string> {
  const file = (async function* () {
    yield Buffer.from(sealed, 'base64')
  })()
  return Buffer.concat(await Array.fromAsync(openInbound(file, identities, place))).toString('utf8')
}

/** Whether an upload that begins so was sealed for somebody by its sender; under a passphrase it is a bundle as any other. */
export const isSealedForSomebody = (beginning: Uint8Array): boolean =>
  isAgeFile(beginning) && judgeHeader(Buffer.from(beginning)) === 'recipients'
