import {
  addTransactionCapability,
  BufferJSON,
  Curve,
  DEFAULT_CONNECTION_CONFIG,
  generateSignalPubKey,
  initAuthCreds,
  type SignalDataSet,
  type SignalKeyStore,
  type SignalRepositoryWithLIDStore,
} from '@whiskeysockets/baileys'
import type { Dropped } from './dropped.ts'
import { baileysLog } from './library/baileys-log.ts'
import { TRANSACTION, writeAheadRepository, type PlaintextKeeper } from './signal-repository.ts'

/** Linked devices whose Signal sessions are libsignal's own, and whose keys lie in memory. For tests. */

const log = baileysLog(undefined)
export const bytes = (text: string): Uint8Array => Buffer.from(text)
export const textOf = (read: Uint8Array): string => Buffer.from(read).toString()

/** Several turns of the event loop: what a slow disk or a network costs, without a clock. */
export async function slowly(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => void setImmediate(resolve))
}

/** Answers from memory at once, and resolves `set` after `write`: what the session's own state promises. */
export function memoryKeys(
  write: (data: SignalDataSet) => Promise<void> = () => slowly(),
  read: () => Promise<void> = async () => undefined,
) {
  const records = new Map<string, string>()
  const keys: SignalKeyStore = {
    get: async (type, ids) => {
      await read()
      const found: Record<string, unknown> = {}
      for (const id of ids) {
        const record = records.get(`${type}/${id}`)
        if (record !== undefined) found[id] = JSON.parse(record, BufferJSON.reviver)
      }
      return found as never
    },
    set: async (data) => {
      for (const [type, values] of Object.entries(data)) {
        for (const [id, value] of Object.entries(values ?? {})) {
          if (value === null || value === undefined) records.delete(`${type}/${id}`)
          else records.set(`${type}/${id}`, JSON.stringify(value, BufferJSON.replacer))
        }
      }
      await write(data)
    },
  }
  return keys
}

const noKeeper: PlaintextKeeper = { keep: () => undefined, known: () => undefined, cameIn: () => undefined }

export type Kind = 'ours' | 'stock'
const ignored = (): void => undefined
const allAlike = { keys: memoryKeys, keeper: noKeeper, kept: ignored, tried: ignored }

/** One linked device with a repository over its own keys. */
export function account(
  jid: string,
  more: {
    kind?: Kind
    keys?: SignalKeyStore
    keeper?: PlaintextKeeper
    kept?: () => void
    tried?: (ciphertext: Uint8Array) => void
    dropped?: Dropped
  } = {},
) {
  const {
    kind = 'ours',
    keys = allAlike.keys(),
    keeper = allAlike.keeper,
    kept = allAlike.kept,
    tried = allAlike.tried,
    dropped = ignored,
  } = more
  const creds = initAuthCreds()
  // What a socket does around every store; the stock repository lives in its transactions.
  const auth = { creds, keys: addTransactionCapability(keys, log, TRANSACTION) }
  const make =
    kind === 'ours'
      ? writeAheadRepository(keys, keeper, { kept, tried, dropped })
      : DEFAULT_CONNECTION_CONFIG.makeSignalRepository
  const repository: SignalRepositoryWithLIDStore = make(auth, log, async () => undefined)
  let preKeys = 0
  /** What the server hands to whoever wants to write to this device. */
  const bundle = async () => {
    const keyId = ++preKeys
    const preKey = Curve.generateKeyPair()
    await keys.set({ 'pre-key': { [keyId]: preKey } })
    const { signedPreKey } = creds
    return {
      registrationId: creds.registrationId,
      identityKey: generateSignalPubKey(creds.signedIdentityKey.public),
      signedPreKey: {
        keyId: signedPreKey.keyId,
        publicKey: generateSignalPubKey(signedPreKey.keyPair.public),
        signature: signedPreKey.signature,
      },
      preKey: { keyId, publicKey: generateSignalPubKey(preKey.public) },
    }
  }
  return { jid, auth, repository, bundle }
}

export type Account = ReturnType<typeof account>

export const meet = async (from: Account, to: Account): Promise<void> =>
  from.repository.injectE2ESession({ jid: to.jid, session: await to.bundle() })
export const encrypt = (from: Account, to: Account, text: string) =>
  from.repository.encryptMessage({ jid: to.jid, data: bytes(text) })
export const decrypt = async (
  to: Account,
  from: Account,
  sent: { type: 'pkmsg' | 'msg'; ciphertext: Uint8Array },
) => textOf(await to.repository.decryptMessage({ jid: from.jid, ...sent }))

export const PEER = '4917000000009@s.whatsapp.net'
export const A = '4917000000001@s.whatsapp.net'
export const B = '4917000000002@s.whatsapp.net'
