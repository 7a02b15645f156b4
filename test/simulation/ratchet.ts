import { proto } from '@whiskeysockets/baileys'
import { encodeCbor } from '#shared/cbor.ts'

/**
 * A Signal session as far as its order matters: which number the next message out gets, and which was the last in. It has
 * the outer shape of libsignal's records, so that the real fence can close it.
 */
export interface RatchetRecord {
  _sessions: Record<string, { indexInfo: { closed: number }; sent: number; received: number }>
}

const OPEN = -1

export const newRatchet = (chain: string): RatchetRecord => ({
  _sessions: { [chain]: { indexInfo: { closed: OPEN }, sent: 0, received: 0 } },
})

const chainsOf = ({ _sessions: chains }: RatchetRecord): RatchetRecord['_sessions'] => chains

const openChain = (record: RatchetRecord) =>
  Object.entries(chainsOf(record)).find(([, { indexInfo }]) => indexInfo.closed === OPEN)

/** One step of the sending ratchet. A closed session gets a fresh chain, as libsignal makes one from pre-keys. */
export function stepOut(
  record: RatchetRecord,
  freshChain: () => string,
): { record: RatchetRecord; chain: string; counter: number } {
  const [chain, state] = openChain(record) ?? [
    freshChain(),
    { indexInfo: { closed: OPEN }, sent: 0, received: 0 },
  ]
  const counter = state.sent + 1
  return {
    record: { _sessions: { ...chainsOf(record), [chain]: { ...state, sent: counter } } },
    chain,
    counter,
  }
}

/**
 * One step of the receiving ratchet; `undefined` when the message can't be decrypted any more. Numbers may be left out: what
 * was decrypted before it in this connection may not have been stored.
 */
export function stepIn(record: RatchetRecord, counter: number): RatchetRecord | undefined {
  const [chain, state] = openChain(record) ?? []
  if (chain === undefined || !state || counter <= state.received) return undefined
  return { _sessions: { ...chainsOf(record), [chain]: { ...state, received: counter } } }
}

/** The highest number out of each chain. */
export const sentOf = (record: RatchetRecord): readonly (readonly [chain: string, sent: number])[] =>
  Object.entries(chainsOf(record)).map(([chain, { sent }]) => [chain, sent])

/** What a decrypted message is: a protobuf, and one byte of padding. */
export const plaintextOf = (text: string): Uint8Array =>
  Buffer.concat([proto.Message.encode({ conversation: text }).finish(), Buffer.of(1)])

/** No two messages have the same ciphertext; the same message has it again. */
export const ciphertextOf = (from: string, counter: number, id: string): Uint8Array =>
  new Uint8Array(encodeCbor([from, counter, id]))
