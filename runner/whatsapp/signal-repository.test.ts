import { beforeAll, describe, expect, test } from 'vitest'
import { silent } from '../runner.fixture.ts'
import { APP_TYPE } from '../state/app-records.ts'
import { silenceConsole } from './library/silent-console.ts'
import type { PlaintextKeeper } from './signal-repository.ts'
import {
  A,
  account,
  B,
  bytes,
  decrypt,
  encrypt,
  meet,
  memoryKeys,
  PEER,
  slowly,
  textOf,
  type Account,
  type Kind,
} from './signal.fixture.ts'

// libsignal prints the sessions that it closes, keys included.
beforeAll(() => silenceConsole(silent))

const GROUP = '1203630000001@g.us'

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
    const keeper = cameBy({ from: GROUP, participant: A })
    const [sender, peer] = [account(A, { keys }), account(PEER, { keeper })]
    await meet(sender, peer)
    order.splice(0)
    await decrypt(peer, sender, await encrypt(sender, peer, 'brings the key'))
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

/** Every ciphertext came in a stanza like this one. */
const cameBy = (attrs: Record<string, string>): PlaintextKeeper => ({
  keep: () => undefined,
  known: () => undefined,
  cameIn: () => attrs,
})

describe('sender keys', () => {
  const OTHER = '120363000000000009@g.us'

  /** A key of A for a group comes in a message with that stanza; answers how many keys are stored, and what was dropped. */
  async function bring(attrs: Record<string, string>, groupId: string, key?: Uint8Array) {
    const stored = new Set<string>()
    const dropped: string[] = []
    const keys = memoryKeys(async (data) => {
      for (const id of Object.keys(data['sender-key'] ?? {})) stored.add(id)
    })
    const [sender, peer] = [
      account(A),
      account(PEER, { keys, keeper: cameBy(attrs), dropped: (what) => void dropped.push(what) }),
    ]
    await meet(sender, peer)
    await decrypt(peer, sender, await encrypt(sender, peer, 'brings the key'))
    const sent = await sender.repository.encryptGroupMessage({ group: groupId, meId: A, data: bytes('all') })
    const item = { groupId, axolotlSenderKeyDistributionMessage: key ?? sent.senderKeyDistributionMessage }
    await peer.repository.processSenderKeyDistributionMessage({ authorJid: A, item })
    return { stored: stored.size, dropped }
  }

  test('F3: one that came through its own group is kept', async () => {
    expect(await bring({ from: GROUP, participant: A }, GROUP)).toEqual({ stored: 1, dropped: [] })
  })

  test.for<[string, Record<string, string>, string]>([
    ['through a chat of two', { from: A }, GROUP],
    ['through a chat of two that names a group member', { from: A, participant: A }, GROUP],
    ['for that very chat of two', { from: A, participant: A }, A],
    ['through another group', { from: OTHER, participant: A }, GROUP],
    ['by another than who wrote', { from: GROUP, participant: B }, GROUP],
  ])('F3: one that came %s leaves no trace and is counted', async ([, attrs, group]) => {
    expect(await bring(attrs, group)).toEqual({ stored: 0, dropped: ['sender_key'] })
  })

  test('F3: one that is larger than a key leaves no trace and is counted', async () => {
    const large = new Uint8Array(600)
    expect(await bring({ from: GROUP, participant: A }, GROUP, large)).toEqual({
      stored: 0,
      dropped: ['sender_key'],
    })
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
      cameIn: () => undefined,
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
    expect(sets.at(-1)).toEqual(expect.arrayContaining([APP_TYPE, 'pre-key', 'session']))
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
    expect(sets.flat()).not.toContain(APP_TYPE)
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

describe('one peer under its number and its LID', () => {
  const LID = '900000000000009@lid'
  const mapping = {
    'lid-mapping': { '4917000000009': '900000000000009', '900000000000009_reverse': '4917000000009' },
  }

  test('is one conversation: no ratchet step is taken twice', async () => {
    const keys = memoryKeys(undefined, () => slowly(2))
    const [sender, peer] = [account(A, { keys }), account(PEER)]
    await keys.set(mapping)
    await meet(sender, peer)
    const texts = Array.from({ length: 6 }, (_, at) => `${at}`)
    const sent = await Promise.all(
      texts.map((text, at) => encrypt(sender, { ...peer, jid: at % 2 === 0 ? PEER : LID }, text)),
    )
    const read: string[] = []
    for (const one of sent) read.push(await decrypt(peer, sender, one))
    expect(read).toEqual(texts)
  })
})
