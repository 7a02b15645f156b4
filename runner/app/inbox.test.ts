import { encodeWAMessage, proto, type BinaryNode } from '@whiskeysockets/baileys'
import { describe, expect, test } from 'vitest'
import { encodeValue, recordKey } from '../state/record.ts'
import type { SessionState } from '../state/session-state.ts'
import { openWorld } from '../state/testing.ts'
import { APP_TYPE, INBOX_PREFIX } from '../state/app-records.ts'
import { Inbox } from './inbox.ts'

const PEER = '4917000000002@s.whatsapp.net'
const GROUP = '1203630000001@g.us'
const OUR = '491701234567'
const OUR_LID = '77700'
const CREDS = { me: { id: `${OUR}:5@s.whatsapp.net`, lid: `${OUR_LID}:5@lid` } }
const REMEMBERED = 200

const text = (words: string): Uint8Array => encodeWAMessage({ conversation: words })
const ciphertext = (number: number): Uint8Array => Buffer.from(`ciphertext ${number}`)

/** A stanza as it comes, with its encrypted part. */
const stanza = (enc: Uint8Array, attrs: Record<string, string> = {}): BinaryNode => ({
  tag: 'message',
  attrs: { id: 'M1', from: PEER, t: '1790000000', ...attrs },
  content: [
    { tag: 'participants', attrs: {} },
    { tag: 'enc', attrs: { type: 'msg' }, content: enc },
  ],
})

/** Notes, keeps and stores a message, as the repository does. Answers whether it was kept. */
async function receive(
  inbox: Inbox,
  state: SessionState,
  enc: Uint8Array,
  plaintext: Uint8Array,
  attrs: Record<string, string> = {},
): Promise<boolean> {
  inbox.note(stanza(enc, attrs))
  const kept = inbox.keep(enc, plaintext)
  if (kept) await state.journal.set([[recordKey(APP_TYPE, kept.id), encodeValue(kept.value)]])
  return kept !== undefined
}

const items = (inbox: Inbox, limit = 1_000) =>
  inbox.waiting(CREDS, limit).flatMap(({ item }) => (item ? [item] : []))

describe('the inbox', () => {
  test('after a clean end what was delivered is not offered again, and is still known', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    const inbox = new Inbox(state)
    // Padding is drawn anew each time, so the very bytes are kept to compare with.
    const plaintexts = [1, 2, 3].map((number) => text(`text ${number}`))
    for (const [at, plaintext] of plaintexts.entries())
      await receive(inbox, state, ciphertext(at + 1), plaintext, { id: `M${at + 1}` })
    const [first, second] = inbox.waiting(CREDS, 2)
    await inbox.delivered([first?.id ?? '', second?.id ?? ''])
    await state.journal.flush()
    const next = await world.open(2)
    const after = new Inbox(next)
    expect(items(after).map(({ id }) => id)).toEqual(['M3'])
    expect(after.known(ciphertext(1))).toEqual(Buffer.from(plaintexts[0] ?? []))
    await receive(after, next, ciphertext(4), text('text 4'), { id: 'M4' })
    expect(items(after).map(({ id }) => id)).toEqual(['M3', 'M4'])
  })

  test('keeps who wrote what and when, in the order of arrival', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    const inbox = new Inbox(state)
    for (const number of [1, 2, 3])
      await receive(inbox, state, ciphertext(number), text(`text ${number}`), { id: `M${number}` })
    expect(items(inbox)).toEqual(
      [1, 2, 3].map((number) => ({
        id: `M${number}`,
        from: PEER,
        chat: PEER,
        kind: 'text',
        text: `text ${number}`,
        at: 1_790_000_000_000,
      })),
    )
    expect(items(inbox, 2)).toHaveLength(2)
  })

  test('knows the same ciphertext again after a restart, and answers the same plaintext', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    const plaintext = text('one')
    await receive(new Inbox(state), state, ciphertext(1), plaintext)
    const next = new Inbox(await world.open(2))
    expect(Buffer.from(next.known(ciphertext(1)) ?? [])).toEqual(Buffer.from(plaintext))
    expect(next.known(ciphertext(2))).toBeUndefined()
    expect(items(next)).toMatchObject([{ text: 'one' }])
  })

  test('goes on numbering after a restart, so that the order holds', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    for (let number = 0; number < 12; number++)
      await receive(new Inbox(state), state, ciphertext(number), text(`${number}`))
    const later = await world.open(2)
    const inbox = new Inbox(later)
    await receive(inbox, later, ciphertext(12), text('12'))
    expect(items(inbox).map((item) => item.text)).toEqual(Array.from({ length: 13 }, (_, at) => `${at}`))
  })

  test('forgets a delivered message after two hundred more', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    const inbox = new Inbox(state)
    for (let number = 0; number <= REMEMBERED; number++)
      await receive(inbox, state, ciphertext(number), text(`${number}`))
    const ids = inbox.waiting(CREDS, 1_000).map(({ id }) => id)
    await inbox.delivered(ids.slice(0, REMEMBERED))
    expect(inbox.known(ciphertext(0))).toBeDefined()
    expect(items(inbox)).toHaveLength(1)
    await inbox.delivered(ids.slice(REMEMBERED))
    expect(inbox.known(ciphertext(0))).toBeUndefined()
    expect(inbox.known(ciphertext(1))).toBeDefined()
    expect([...state.records.entries(INBOX_PREFIX)]).toHaveLength(REMEMBERED)
    expect(items(inbox)).toEqual([])
  })

  test('F3: of delivered messages no more than two megabytes are remembered, the newest', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    const inbox = new Inbox(state)
    const large = text('x'.repeat(900_000))
    for (let number = 0; number < 5; number++) {
      await receive(inbox, state, ciphertext(number), large)
      await inbox.delivered(inbox.waiting(CREDS, 10).map(({ id }) => id))
    }
    const known = [0, 1, 2, 3, 4].filter((number) => inbox.known(ciphertext(number)) !== undefined)
    expect(known).toEqual([3, 4])
    expect([...state.records.entries(INBOX_PREFIX)]).toHaveLength(2)
  })

  test('a message that was kept but whose decryption failed after all is not waited for', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    const inbox = new Inbox(state)
    inbox.note(stanza(ciphertext(1)))
    inbox.keep(ciphertext(1), text('never stored'))
    await receive(inbox, state, ciphertext(2), text('two'))
    expect(items(inbox)).toMatchObject([{ text: 'two' }])
    await inbox.delivered(inbox.waiting(CREDS, 10).map(({ id }) => id))
    expect(inbox.waiting(CREDS, 10)).toEqual([])
  })

  test.for<[string, Record<string, string>]>([
    ['of the protocol between own devices', { category: 'peer' }],
    ['without a sender', { from: undefined as unknown as string }],
  ])('keeps no message %s', async ([, attrs]) => {
    await using world = await openWorld()
    const state = await world.open(1)
    expect(await receive(new Inbox(state), state, ciphertext(1), text('key share'), attrs)).toBe(false)
  })

  test('keeps nothing that came in no message stanza', async () => {
    await using world = await openWorld()
    const inbox = new Inbox(await world.open(1))
    inbox.note({
      tag: 'notification',
      attrs: {},
      content: [{ tag: 'enc', attrs: {}, content: ciphertext(1) }],
    })
    inbox.note({ tag: 'message', attrs: { id: 'M1', from: PEER } })
    expect(inbox.keep(ciphertext(1), text('one'))).toBeUndefined()
  })
})

describe('what the application reads', () => {
  const read = async (message: proto.IMessage, attrs: Record<string, string> = {}) => {
    await using world = await openWorld()
    const state = await world.open(1)
    const inbox = new Inbox(state)
    await receive(inbox, state, ciphertext(1), encodeWAMessage(message), attrs)
    return inbox.waiting(CREDS, 1)[0]?.item
  }
  const said = { conversation: 'hello' }

  test('a member of a group wrote to the group, by the number where it is known', async () => {
    const participant = '900:3@lid'
    expect(await read(said, { from: GROUP, participant })).toMatchObject({ from: '900@lid', chat: GROUP })
    const known = { from: GROUP, participant, participant_pn: '4917000000003:3@s.whatsapp.net' }
    expect(await read(said, known)).toMatchObject({ from: '4917000000003@s.whatsapp.net', chat: GROUP })
    expect(await read(said, { from: '900@lid', sender_pn: PEER })).toMatchObject({ from: PEER, chat: PEER })
  })

  test('what the own phone sent is from oneself, in the chat it went to', async () => {
    const sentByUs = { deviceSentMessage: { destinationJid: PEER, message: said } }
    expect(await read(sentByUs, { from: `${OUR}@s.whatsapp.net`, recipient: PEER })).toMatchObject({
      from: `${OUR}@s.whatsapp.net`,
      chat: PEER,
      text: 'hello',
    })
  })

  const LID = '900@lid'
  const ours = `${OUR}@s.whatsapp.net`
  test.for<[string, Record<string, string>, string]>([
    ['to a LID whose number is there', { recipient: LID, peer_recipient_pn: PEER }, PEER],
    ['to a LID alone', { recipient: LID }, LID],
    ['to oneself', { recipient: `${OUR_LID}@lid` }, ours],
    ['in a group', { from: GROUP, participant: `${OUR_LID}:3@lid` }, GROUP],
  ])(
    'F5: what a device of ours sent %s is in the chat of the stanza, from our number',
    async ([, attrs, chat]) => {
      const copy = { deviceSentMessage: { destinationJid: '4917999@s.whatsapp.net', message: said } }
      const stamped = { from: `${OUR_LID}@lid`, ...attrs }
      expect(await read(copy, stamped)).toMatchObject({ from: ours, chat, text: 'hello' })
    },
  )

  test.for<[string, Record<string, string>]>([
    ['a stranger', { from: PEER }],
    ['a stranger who names a device of ours', { from: PEER, participant: `${OUR}:3@s.whatsapp.net` }],
    ['a member of a group', { from: GROUP, participant: LID }],
  ])('F5: a copy of what we sent, by %s, is nothing and is said to be forged', async ([, attrs]) => {
    await using world = await openWorld()
    const state = await world.open(1)
    const inbox = new Inbox(state)
    const copy = { deviceSentMessage: { destinationJid: '4915199999999@s.whatsapp.net', message: said } }
    await receive(inbox, state, ciphertext(1), encodeWAMessage(copy), attrs)
    const [waiting] = inbox.waiting(CREDS, 10)
    expect(waiting).toMatchObject({ isForged: true })
    expect(waiting).not.toHaveProperty('item')
  })

  test('F5: whose device wrote a message is judged when it comes, whoever we are when it is read', async () => {
    await using world = await openWorld()
    const state = await world.open(1)
    const inbox = new Inbox(state)
    const copy = { deviceSentMessage: { destinationJid: PEER, message: said } }
    const enc = ciphertext(1)
    inbox.note(stanza(enc, { from: ours, recipient: PEER }), true)
    const kept = inbox.keep(enc, encodeWAMessage(copy))
    await state.journal.set([[recordKey(APP_TYPE, kept?.id ?? ''), encodeValue(kept?.value)]])
    expect(inbox.waiting(undefined, 1)).toMatchObject([{ item: { chat: PEER, text: 'hello' } }])
  })

  test('F5: the time is that of the stanza, and a status is no private text', async () => {
    const attrs = { from: 'status@broadcast', participant: PEER, t: '1790000007' }
    expect(await read(said, attrs)).toMatchObject({ chat: 'status@broadcast', at: 1_790_000_007_000 })
  })

  test('text of every kind is text, and anything else is named', async () => {
    expect(await read({ extendedTextMessage: { text: 'link' } })).toMatchObject({
      kind: 'text',
      text: 'link',
    })
    expect(await read({ ephemeralMessage: { message: said } })).toMatchObject({ kind: 'text', text: 'hello' })
    const image = await read({ imageMessage: { mimetype: 'image/png' } })
    expect(image).toMatchObject({ kind: 'imageMessage' })
    expect(image).not.toHaveProperty('text')
  })

  test('nothing of what only the protocol reads', async () => {
    expect(
      await read({ protocolMessage: { type: proto.Message.ProtocolMessage.Type.REVOKE } }),
    ).toBeUndefined()
    expect(await read({ senderKeyDistributionMessage: { groupId: GROUP } })).toBeUndefined()
    expect(await read({})).toBeUndefined()
  })
})
