import {
  addTransactionCapability,
  DEFAULT_CONNECTION_CONFIG,
  isHostedPnUser,
  isPnUser,
  type SignalDataSet,
  type SignalKeyStore,
  type SignalRepositoryWithLIDStore,
  type SocketConfig,
} from '@whiskeysockets/baileys'
import { APP_TYPE } from '../state/app-records.ts'
import type { Dropped } from './dropped.ts'
import { makeKeyedMutex } from './library/keyed-mutex.ts'
import { withoutUnused } from './library/unused-sessions.ts'
import { authorOf, type Stamped } from './people.ts'

/**
 * libsignal's job queue is one per process and keyed by the peer's address alone, so two sessions that talk to the same
 * peer would run each other's jobs in the wrong transaction. One mutex for the whole process keeps them apart
 * (docs/facts/baileys.md §2.5). Its key is the address under which the record lies: rc14 encrypts to phone numbers and
 * decrypts from LIDs, both in one record, and a step that was taken from the same record at the same time would be lost.
 */
const byAddress = makeKeyedMutex()

/** Retries belong to the journal; a closed store must fail at once. */
export const TRANSACTION = { maxCommitRetries: 1, delayBetweenTriesMs: 50 } as const

/**
 * What a sender key takes: two numbers and two keys of 32 and 33 bytes. libsignal stores what it is given, five of it.
 */
const SENDER_KEY_BYTES_MAX = 512

/** Keeps what was decrypted, and knows it again when the server delivers it a second time. */
export interface PlaintextKeeper {
  /** The record, of the application's type, for a ciphertext that came in a message stanza; `undefined` for any other. */
  keep(ciphertext: Uint8Array, plaintext: Uint8Array): { id: string; value: unknown } | undefined
  /** The plaintext of a ciphertext that was decrypted before. */
  known(ciphertext: Uint8Array): Uint8Array | undefined
  /** The stanza in which a ciphertext came, as the server stamped it; `undefined` where none did. */
  cameIn(ciphertext: Uint8Array): Stamped | undefined
}

export interface Decrypted {
  /** A plaintext is durable in the inbox. */
  kept(): void
  /** A decryption ended, well or badly. */
  tried(ciphertext: Uint8Array): void
  /** Something of a stranger was not taken. */
  dropped: Dropped
}

/**
 * The stock Signal repository over its own transaction layer, so that every step is durable before the other side may rely
 * on it: a sending ratchet before the bytes leave, a receiving one before the receipt. The decrypted message lies in the
 * same atomic write as its ratchet step.
 */
export function writeAheadRepository(
  raw: SignalKeyStore,
  keeper: PlaintextKeeper,
  told: Decrypted,
): SocketConfig['makeSignalRepository'] {
  return (auth, logger, pnToLid) => {
    const keys = addTransactionCapability(raw, logger, TRANSACTION)
    const stock = DEFAULT_CONNECTION_CONFIG.makeSignalRepository({ creds: auth.creds, keys }, logger, pnToLid)

    /** The form of a peer's jid under which its record lies. */
    const recordJid = async (jid: string): Promise<string> =>
      (isPnUser(jid) || isHostedPnUser(jid) ? await stock.lidMapping.getLIDForPN(jid) : undefined) ?? jid

    /** Alone with the record of a peer's device, also when its LID becomes known while this waits. */
    const alone = async <T>(jid: string, work: (own: string, address: string) => Promise<T>): Promise<T> => {
      for (;;) {
        const own = await recordJid(jid)
        const address = stock.jidToSignalProtocolAddress(own)
        const done = await byAddress.mutex(address, async () =>
          own === (await recordJid(jid)) ? { value: await work(own, address) } : undefined,
        )
        if (done) return done.value
      }
    }

    /** Decrypts and keeps the plaintext in one transaction; it is durable when this resolves. */
    const decrypt = async (
      address: string,
      ciphertext: Uint8Array,
      work: () => Promise<Uint8Array>,
    ): Promise<Uint8Array> => {
      // Its ratchet step is durable, but the receipt did not reach the server before the connection ended. Decrypting once
      // more would fail and make us ask the sender for what we have.
      const known = keeper.known(ciphertext)
      if (known) return known
      let wasKept = false
      const plaintext = await keys.transaction(async () => {
        const opened = await work()
        const record = keeper.keep(ciphertext, opened)
        if (record) {
          await keys.set({ [APP_TYPE]: { [record.id]: record.value } } as SignalDataSet)
          wasKept = true
        }
        return opened
      }, address)
      if (wasKept) told.kept()
      return plaintext
    }

    /**
     * Where the message came from that rc14 has in work: it decrypts one after the other and takes the sender key that is in
     * one before it begins the next (`library/work-in-hand.ts`).
     */
    let inWork: Stamped | undefined

    /** A key that came for another group than this says nothing of that group, whoever sent it may not even be in it. */
    const isOfItsGroup = (group: string | null | undefined, author: string): boolean =>
      inWork !== undefined && group === inWork['from'] && author === authorOf(inWork) && author !== group

    const repository: SignalRepositoryWithLIDStore = {
      ...stock,
      decryptMessage: (opts) => {
        inWork = keeper.cameIn(opts.ciphertext)
        return alone(opts.jid, (jid, address) =>
          decrypt(address, opts.ciphertext, () => stock.decryptMessage({ ...opts, jid })),
        ).finally(() => told.tried(opts.ciphertext))
      },
      decryptGroupMessage: (opts) => {
        inWork = keeper.cameIn(opts.msg)
        return byAddress
          .mutex(opts.group, () => decrypt(opts.group, opts.msg, () => stock.decryptGroupMessage(opts)))
          .finally(() => told.tried(opts.msg))
      },
      processSenderKeyDistributionMessage: async (opts) => {
        const { groupId, axolotlSenderKeyDistributionMessage: key } = opts.item
        if (!isOfItsGroup(groupId, opts.authorJid) || (key?.length ?? 0) > SENDER_KEY_BYTES_MAX)
          return told.dropped('sender_key')
        await stock.processSenderKeyDistributionMessage(opts)
      },
      encryptMessage: (opts) => alone(opts.jid, (jid) => stock.encryptMessage({ ...opts, jid })),
      encryptGroupMessage: (opts) => byAddress.mutex(opts.group, () => stock.encryptGroupMessage(opts)),
      injectE2ESession: (opts) =>
        alone(opts.jid, (jid, address) =>
          keys.transaction(async () => {
            await stock.injectE2ESession({ ...opts, jid })
            const { [address]: record } = await keys.get('session', [address])
            if (record) await keys.set({ session: { [address]: withoutUnused(record) } })
          }, address),
        ),
    }
    return repository
  }
}
