import {
  DEFAULT_CONNECTION_CONFIG,
  type SignalDataSet,
  type SignalDataTypeMap,
  type SignalKeyStoreWithTransaction,
} from '@whiskeysockets/baileys'
import { decryptWithoutSideEffects } from '#runner/whatsapp/library/decrypt-without-side-effects.ts'
import { newKeyPair, sign, type KeyPair } from './curve.ts'
import { KEY_TYPE } from './prekeys.ts'
import type { KeyShelf, PreKey } from './world.ts'

/** The stock Signal implementation, the same code that a real client runs. */
export type SignalRepository = ReturnType<typeof DEFAULT_CONNECTION_CONFIG.makeSignalRepository>

/** The Signal state of one simulated device. */
export interface SignalMemory {
  readonly repository: SignalRepository
  readonly shelf: KeyShelf
  newPreKey(): PreKey
  /** Forgets the session with an address, as a device does that lost its state. */
  forget(jid: string): void
}

const SIGNED_PRE_KEY_ID = 1
/** Ids are 24 bit on the wire. */
const REGISTRATION_ID_MAX = 0x3fff

const mute = (): void => undefined
const quiet = {
  level: 'silent',
  child: () => quiet,
  trace: mute,
  debug: mute,
  info: mute,
  warn: mute,
  error: mute,
}

/** Makes the keys of a device that has just been set up. */
export function signalMemory(identity: KeyPair): SignalMemory {
  // Phones try a message on copies of their sessions; libsignal for Node does not, and would blame the sender for it.
  decryptWithoutSideEffects()
  const keys = keyStore()
  const signed = signedKeyOf(identity, SIGNED_PRE_KEY_ID)
  const registrationId = 1 + Math.floor(Math.random() * REGISTRATION_ID_MAX)
  const creds = { signedIdentityKey: identity, signedPreKey: signed, registrationId }
  const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository({ creds, keys }, quiet)
  let nextPreKeyId = 1
  return {
    repository,
    shelf: {
      registrationId,
      identity: identity.public,
      signedPreKey: { id: signed.keyId, value: signed.keyPair.public, signature: signed.signature },
      preKeys: new Map(),
    },
    newPreKey() {
      const id = nextPreKeyId++
      const pair = newKeyPair()
      void keys.set({ 'pre-key': { [id]: pair } })
      return { id, value: pair.public }
    },
    forget(jid) {
      void keys.set({ session: { [repository.jidToSignalProtocolAddress(jid)]: null } })
    },
  }
}

/** A new signed pre-key, in the shape of Baileys' credentials. */
export function signedKeyOf(
  identity: KeyPair,
  keyId: number,
): { keyPair: KeyPair; signature: Buffer; keyId: number } {
  const keyPair = newKeyPair()
  return { keyPair, signature: sign(identity, Buffer.concat([KEY_TYPE, keyPair.public])), keyId }
}

/**
 * A key store in memory without Baileys' transaction layer. One device works through its stanzas one at a time, and a
 * failed decryption writes nothing, so there is nothing to roll back.
 */
function keyStore(): SignalKeyStoreWithTransaction {
  const kinds = new Map<string, Map<string, unknown>>()
  return {
    get<T extends keyof SignalDataTypeMap>(kind: T, ids: string[]) {
      const found: { [id: string]: SignalDataTypeMap[T] } = {}
      for (const id of ids) {
        const value = kinds.get(kind)?.get(id)
        if (value !== undefined) found[id] = value as SignalDataTypeMap[T]
      }
      return found
    },
    set(data: SignalDataSet) {
      for (const [kind, values] of Object.entries(data)) {
        const known = kinds.get(kind) ?? new Map<string, unknown>()
        kinds.set(kind, known)
        for (const [id, value] of Object.entries(values)) {
          if (value === null) known.delete(id)
          else known.set(id, value)
        }
      }
    },
    isInTransaction: () => false,
    transaction: (work) => work(),
  }
}
