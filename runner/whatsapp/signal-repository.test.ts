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
import { beforeAll, describe, expect, test } from 'vitest'
import { silent } from '../runner.fixture.ts'
import { INBOX_TYPE } from './auth-state.ts'
import { baileysLog, silenceConsole } from './quiet.ts'
import { TRANSACTION, writeAheadRepository, type PlaintextKeeper } from './signal-repository.ts'

const log = baileysLog(undefined)
// libsignal prints the sessions that it closes, keys included.
beforeAll(() => silenceConsole(silent))

const GROUP = '1203630000001@g.us'
const bytes = (text: string): Uint8Array => Buffer.from(text)
const textOf = (read: Uint8Array): string => Buffer.from(read).toString()

/** Several turns of the event loop: what a slow disk or a network costs, without a clock. */
async function slowly(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => void setImmediate(resolve))
}

/** Answers from memory at once, and resolves `set` after `write`: what the session's own state promises. */
function memoryKeys(
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

const noKeeper: PlaintextKeeper = { keep: () => undefined, known: () => undefined }

type Kind = 'ours' | 'stock'
const allAlike = { keys: memoryKeys, keeper: noKeeper, kept: (): void => undefined }

/** One linked device with a repository over its own keys. */
function account(
  jid: string,
  more: { kind?: Kind; keys?: SignalKeyStore; keeper?: PlaintextKeeper; kept?: () => void } = {},
) {
  const { kind = 'ours', keys = allAlike.keys(), keeper = allAlike.keeper, kept = allAlike.kept } = more
  const creds = initAuthCreds()
  // What a socket does around every store; the stock repository lives in its transactions.
  const auth = { creds, keys: addTransactionCapability(keys, log, TRANSACTION) }
  const make =
    kind === 'ours'
      ? writeAheadRepository(keys, keeper, kept)
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

type Account = ReturnType<typeof account>

const meet = async (from: Account, to: Account): Promise<void> =>
  from.repository.injectE2ESession({ jid: to.jid, session: await to.bundle() })
const encrypt = (from: Account, to: Account, text: string) =>
  from.repository.encryptMessage({ jid: to.jid, data: bytes(text) })
const decrypt = async (to: Account, from: Account, sent: { type: 'pkmsg' | 'msg'; ciphertext: Uint8Array }) =>
  textOf(await to.repository.decryptMessage({ jid: from.jid, ...sent }))

const PEER = '4917000000009@s.whatsapp.net'
const A = '4917000000001@s.whatsapp.net'
const B = '4917000000002@s.whatsapp.net'

/** A store whose writes are held until they are let go. */
function heldKeys() {
  const order: string[] = []
  let gate = Promise.resolve()
  const keys = memoryKeys(async (data) => {
    const types = Object.keys(data).toSorted().join(' ')
    order.push(`begin ${types}`)
    await gate
    order.push(`durable ${types}`)
  })
  const hold = (): (() => void) => {
    const held = Promise.withResolvers<void>()
    gate = held.promise
    order.length = 0
    return held.resolve
  }
  return { keys, order, hold }
}

describe('a ratchet step is durable before the other side may rely on it', () => {
  test('a message is encrypted when its sending ratchet is stored', async () => {
    const { keys, order, hold } = heldKeys()
    const [sender, peer] = [account(A, { keys }), account(PEER)]
    await meet(sender, peer)
    const release = hold()
    const sending = encrypt(sender, peer, 'hello').then((sent) => (order.push('sent'), sent))
    await slowly(20)
    expect(order).toEqual(['begin session'])
    release()
    expect(await decrypt(peer, sender, await sending)).toBe('hello')
    expect(order).toEqual(['begin session', 'durable session', 'sent'])
  })

  test('a new session is stored before the first message of it', async () => {
    const { keys, order, hold } = heldKeys()
    const [sender, peer] = [account(A, { keys }), account(PEER)]
    const release = hold()
    const meeting = meet(sender, peer).then(() => order.push('met'))
    await slowly(20)
    expect(order).toEqual(['begin session'])
    release()
    await meeting
    expect(order).toEqual(['begin session', 'durable session', 'met'])
  })

  test('a message to a group is encrypted when its sender key is stored', async () => {
    const { keys, order, hold } = heldKeys()
    const [sender, peer] = [account(A, { keys }), account(PEER)]
    const release = hold()
    const sending = sender.repository
      .encryptGroupMessage({ group: GROUP, meId: A, data: bytes('all') })
      .then((sent) => (order.push('sent'), sent))
    await slowly(20)
    release()
    const sent = await sending
    expect(order.at(-1)).toBe('sent')
    expect(order).toContain('durable sender-key')
    const axolotlSenderKeyDistributionMessage = sent.senderKeyDistributionMessage
    await peer.repository.processSenderKeyDistributionMessage({
      authorJid: A,
      item: { groupId: GROUP, axolotlSenderKeyDistributionMessage },
    })
    const read = peer.repository.decryptGroupMessage({ group: GROUP, authorJid: A, msg: sent.ciphertext })
    expect(textOf(await read)).toBe('all')
  })

  test('a store that fails fails the message, and the next one can be read', async () => {
    let failures = 0
    const keys = memoryKeys(async () => {
      if (failures-- > 0) throw new Error('disk full')
    })
    const [sender, peer] = [account(A, { keys }), account(PEER)]
    await meet(sender, peer)
    failures = 1
    await expect(encrypt(sender, peer, 'lost')).rejects.toThrow('disk full')
    expect(await decrypt(peer, sender, await encrypt(sender, peer, 'hello'))).toBe('hello')
  })
})

describe('nothing decrypted is lost', () => {
  /** Keeps everything under one name, and knows it again. */
  function keeping() {
    const seen = new Map<string, Uint8Array>()
    const keeper: PlaintextKeeper = {
      keep: (ciphertext, plaintext) => {
        seen.set(Buffer.from(ciphertext).toString('base64'), plaintext)
        return { id: '000000000001', value: { bytes: plaintext } }
      },
      known: (ciphertext) => seen.get(Buffer.from(ciphertext).toString('base64')),
    }
    const told: string[] = []
    const sets: string[][] = []
    const keys = memoryKeys(async (data) => {
      sets.push(Object.keys(data).toSorted())
      await slowly()
      told.push('durable')
    })
    return { keeper, keys, sets, told, kept: () => void told.push('kept') }
  }

  test('the plaintext lies in the same write as its ratchet step, and is told when that is durable', async () => {
    const { keeper, keys, sets, told, kept } = keeping()
    const [sender, peer] = [account(A), account(PEER, { keys, keeper, kept })]
    await meet(sender, peer)
    const sent = await encrypt(sender, peer, 'hello')
    sets.length = told.length = 0
    expect(await decrypt(peer, sender, sent)).toBe('hello')
    expect(sets.at(-1)).toEqual(expect.arrayContaining([INBOX_TYPE, 'pre-key', 'session']))
    expect(told.slice(-2)).toEqual(['durable', 'kept'])
  })

  test('the same ciphertext is decrypted once, and answers the same plaintext', async () => {
    const { keeper, keys, sets, kept, told } = keeping()
    const [sender, peer] = [account(A), account(PEER, { keys, keeper, kept })]
    await meet(sender, peer)
    const sent = await encrypt(sender, peer, 'hello')
    await decrypt(peer, sender, sent)
    sets.length = told.length = 0
    expect(await decrypt(peer, sender, sent)).toBe('hello')
    expect([sets, told]).toEqual([[], []])
  })

  test('what can’t be decrypted is neither kept nor told', async () => {
    const { keeper, keys, sets, kept, told } = keeping()
    const [sender, peer] = [account(A), account(PEER, { keys, keeper, kept })]
    await meet(sender, peer)
    // Once both have written, a message ends with its code.
    await decrypt(peer, sender, await encrypt(sender, peer, 'one'))
    await decrypt(sender, peer, await encrypt(peer, sender, 'two'))
    const { type, ciphertext } = await encrypt(sender, peer, 'hello')
    const forged = Buffer.from(ciphertext)
    forged[forged.length - 1] = Number(forged.at(-1)) ^ 1
    sets.length = told.length = 0
    await expect(decrypt(peer, sender, { type, ciphertext: forged })).rejects.toThrow(/No matching sessions/)
    expect(sets.flat()).not.toContain(INBOX_TYPE)
    expect(told).not.toContain('kept')
    expect(await decrypt(peer, sender, { type, ciphertext })).toBe('hello')
  })
})

describe('two accounts in one process that talk to one peer', () => {
  /**
   * libsignal works on one peer at a time, whosever it is, and goes on with the next in the context of the first. So A is
   * busy with the peer while B, in the transaction of its send, meets the same peer and writes to it.
   */
  async function bothWrite(kind: Kind): Promise<string[]> {
    const busy = { reads: false }
    const slow = memoryKeys(undefined, () => slowly(busy.reads ? 50 : 0))
    const peers = [account(PEER), account(PEER)] as const
    const [a, b] = [account(A, { kind, keys: slow }), account(B, { kind })] as const
    await meet(a, peers[0])
    const met = Promise.withResolvers<void>()
    const fromB = b.auth.keys.transaction(async () => {
      await meet(b, peers[1])
      met.resolve()
      await slowly(10)
      return encrypt(b, peers[1], 'from B')
    }, B)
    await met.promise
    busy.reads = true
    const [sentA, sentB] = await Promise.all([encrypt(a, peers[0], 'from A'), fromB])
    return [await decrypt(peers[0], a, sentA), await decrypt(peers[1], b, sentB)]
  }

  test('do not disturb each other', async () => {
    expect(await bothWrite('ours')).toEqual(['from A', 'from B'])
  })

  test('would, with the stock repository: libsignal runs one’s work in the other’s transaction', async () => {
    await expect(bothWrite('stock')).rejects.toThrow(/No sessions/)
  })

  test('a failing write of one loses no ratchet step of the other', async () => {
    let failsNext = false
    const failing = memoryKeys(async () => {
      await slowly()
      if (failsNext) throw new Error('disk full')
    })
    const peers = [account(PEER), account(PEER)] as const
    const [bad, good] = [account(A, { keys: failing }), account(B)] as const
    await meet(bad, peers[0])
    await meet(good, peers[1])
    failsNext = true
    const [lost, first, second] = await Promise.allSettled([
      encrypt(bad, peers[0], 'lost'),
      encrypt(good, peers[1], 'one'),
      encrypt(good, peers[1], 'two'),
    ])
    expect(lost.status).toBe('rejected')
    for (const [sent, text] of [
      [first, 'one'],
      [second, 'two'],
    ] as const) {
      if (sent.status === 'rejected') throw new Error('a good message failed', { cause: sent.reason })
      expect(await decrypt(peers[1], good, sent.value)).toBe(text)
    }
  })

  test('keep their conversations apart, both ways, message by message', async () => {
    const peer = account(PEER)
    const accounts = [account(A), account(B)]
    await Promise.all(accounts.map((from) => meet(from, peer)))
    for (let round = 0; round < 4; round++) {
      const talk = async (from: Account): Promise<void> => {
        const text = `${round} from ${from.jid}`
        expect(await decrypt(peer, from, await encrypt(from, peer, text))).toBe(text)
        expect(await decrypt(from, peer, await encrypt(peer, from, `re ${text}`))).toBe(`re ${text}`)
      }
      await Promise.all(accounts.map(talk))
    }
  })

  test('messages of one account to one peer are encrypted in order', async () => {
    const [sender, peer] = [account(A), account(PEER)]
    await meet(sender, peer)
    const texts = Array.from({ length: 10 }, (_, at) => `${at}`)
    const sent = await Promise.all(texts.map((text) => encrypt(sender, peer, text)))
    for (const [at, one] of sent.entries()) expect(await decrypt(peer, sender, one)).toBe(texts[at])
  })
})
