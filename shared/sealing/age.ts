import { ReadableStream as NodeStream } from 'node:stream/web'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Decrypter, Encrypter } from 'age-encryption'
import { CodedError } from '#shared/errors.ts'
import { badFile, HEADER_BYTES_MAX, headerEnd, judgeHeader } from './age-header.ts'
import type { AgeIdentity } from './age-identity.ts'
import { passphraseIdentity, passphraseRecipient } from './age-passphrase.ts'

/**
 * Standard age files (age-encryption.org/v1), so that what is sealed here `age -d` opens, and the other way round: for
 * recipients, whose identities somebody else has, or under a passphrase. One use of each, in pieces or whole.
 *
 * A piece that comes out of `ageOpenPieces` was sealed as it is, but only the end of the last one says that nothing is
 * missing behind it: nothing may come of the pieces before that.
 */
export type SealedFor = readonly string[] | { passphrase: string }
export type OpenedWith = readonly AgeIdentity[] | { passphrase: string }

/** A chunk of age, a millisecond of work; then others have their turn. */
const TURN_BYTES = 64 * 1024

/** A file of the pieces, in pieces. Its recipients were checked by `readAgeRecipients`. */
export async function* ageSealPieces(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  sealedFor: SealedFor,
): AsyncGenerator<Uint8Array> {
  const encrypter = new Encrypter()
  if ('passphrase' in sealedFor) encrypter.addRecipient(passphraseRecipient(sealedFor.passphrase))
  else for (const recipient of sealedFor) encrypter.addRecipient(recipient)
  yield* await encrypter.encrypt(streamOf(inTurns(pieces)))
}

/**
 * What a file holds, in pieces. The header is read, and what it costs is known, before anything is computed.
 * @throws CodedError `bad_age_file` (none, damaged, cut short, or too costly), `wrong_recipient`, `wrong_passphrase`,
 *   `overloaded`, and what `file` throws
 */
export async function* ageOpenPieces(
  file: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  openedWith: OpenedWith,
): AsyncGenerator<Uint8Array> {
  const { header, all, failed } = await readHeader(file)
  const decrypter = decrypterFor(openedWith, judgeHeader(header))
  try {
    yield* await decrypter.decrypt(streamOf(inTurns(all)))
  } catch (error) {
    if (failed() || error instanceof CodedError) throw error
    throw badFile('it is damaged or cut short')
  }
}

/** For what is small: putting 50 MB together takes 0.2 s of the event loop. @see ageSealPieces */
export const ageSeal = async (bytes: Uint8Array, sealedFor: SealedFor): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(ageSealPieces([bytes], sealedFor)))

/** All of it or nothing; for what is small. @see ageOpenPieces */
export const ageOpen = async (file: Uint8Array, openedWith: OpenedWith): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(ageOpenPieces([file], openedWith)))

function decrypterFor(openedWith: OpenedWith, kind: 'passphrase' | 'recipients'): Decrypter {
  const decrypter = new Decrypter()
  if ('passphrase' in openedWith) {
    if (kind === 'recipients')
      throw wrong('wrong_recipient', 'it is sealed for somebody, not by a passphrase')
    decrypter.addIdentity(passphraseIdentity(openedWith.passphrase))
  } else {
    if (kind === 'passphrase')
      throw wrong('wrong_passphrase', 'it is sealed by a passphrase, and none was given')
    for (const { secret } of openedWith) decrypter.addIdentity(secret)
  }
  // Asked last, so when none before it knew the file.
  decrypter.addIdentity({
    unwrapFileKey() {
      throw kind === 'passphrase'
        ? wrong('wrong_passphrase', 'the passphrase is another one')
        : wrong('wrong_recipient', 'it is sealed for somebody else')
    },
  })
  return decrypter
}

/** The beginning of a file up to the end of its header, or as far as a header may go; and all of it, from the beginning. */
async function readHeader(file: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
  let failed = false
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* file
    } catch (error) {
      failed = true
      throw error
    }
  }
  const pieces = watched()
  const held: Uint8Array[] = []
  let header = Buffer.alloc(0)
  while (header.length < HEADER_BYTES_MAX && headerEnd(header) === undefined) {
    const { value, done } = await pieces.next()
    if (done) break
    held.push(value)
    header = Buffer.concat([header, value.subarray(0, HEADER_BYTES_MAX - header.length)])
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    yield* held.splice(0)
    yield* pieces
  }
  return { header, all: all(), failed: () => failed }
}

async function* inTurns(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; at += TURN_BYTES) {
      yield piece.subarray(at, at + TURN_BYTES)
      await nextTurn()
    }
  }
}

/** One class that has two declarations, the library's of browsers and Node's. */
const streamOf = (pieces: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> =>
  NodeStream.from(pieces) as unknown as ReadableStream<Uint8Array>

const wrong = (code: 'wrong_recipient' | 'wrong_passphrase', why: string): CodedError =>
  new CodedError(code, `open an age file: ${why}`)
