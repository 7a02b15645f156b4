import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { eventually } from '#test/e2e/eventually.ts'
import { converse, jobDone, textsIn } from '#test/e2e/people.ts'
import { useSiege } from './siege.ts'

/**
 * What a stranger sends to a session, in numbers, on real processes: what it costs, and whom. What each of these does to what is
 * stored and shown is in test/e2e/strangers.test.ts, and each budget in runner/whatsapp/record-budgets.test.ts.
 */

const siege = useSiege()
const BOB = '4915999000001'
const EVE = '4915999000002'
/** As many as a stranger gets through before anybody looks: some seconds of either program's work if each were believed. */
const FLOOD = 300

beforeAll(async () => {
  for (const phone of [BOB, EVE]) await siege.world.whatsapp.phone(phone)
})

/** So many of them, each when the one before was accepted. */
async function flood(one: (at: number) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < FLOOD; at++) await one(at)
}

/** All that was sent to the session was taken: none of it is left to be brought again. */
const dealtWith = (): Promise<unknown> =>
  eventually('everything to be taken', async () => {
    const { queued, queuedOther } = await siege.world.whatsapp.device(siege.target.jid)
    return queued === 0 && queuedOther === 0
  })

/** What the session's state takes in the store now. */
async function stateBytes(): Promise<number> {
  const { hostile, target } = siege
  const { job } = await hostile.takeSnapshot(target.session)
  return Number((await jobDone(hostile, target.session, job))['bytes'])
}

test('F3 F5: copies in our own name are in nobody’s feed, however many come', async () => {
  const { world, hostile, target } = siege
  await siege.underWatch(async () => {
    await flood((at) => {
      const copy = { destinationJid: `${BOB}@s.whatsapp.net`, message: { conversation: `forged ${at}` } }
      return world.whatsapp.forge(EVE, { to: target.phone, message: { deviceSentMessage: copy } })
    })
    await dealtWith()
  })
  await converse(hostile, world.whatsapp, target, BOB, 'after')
  expect((await textsIn(hostile, target.session)).filter((text) => text?.startsWith('forged'))).toEqual([])
})

test('F3: keys for groups that there are not leave the state as it was', async () => {
  const { world, target } = siege
  // Version 3, number 1, at its beginning, a chain key and a key to sign with: libsignal takes it.
  const key = Buffer.concat([
    Buffer.of(0x33, 0x08, 1, 0x10, 0, 0x1a, 32),
    Buffer.alloc(32, 7),
    Buffer.of(0x22, 33, 5),
    Buffer.alloc(32, 9),
  ]).toString('base64')
  const before = await stateBytes()
  await siege.underWatch(async () => {
    await flood((at) => {
      const groupId = `1203639${String(at).padStart(11, '0')}@g.us`
      const senderKeyDistributionMessage = { groupId, axolotlSenderKeyDistributionMessage: key }
      return world.whatsapp.forge(EVE, { to: target.phone, message: { senderKeyDistributionMessage } })
    })
    await dealtWith()
  })
  // Of each message the inbox keeps what tells a second copy of it: within its own bound, and far from a record of 400 bytes each.
  expect((await stateBytes()) - before).toBeLessThan(FLOOD * 250)
})

test('F3 F5: who was not written to gets no text by its id, and his receipts move nothing', async () => {
  const { world, hostile, target } = siege
  const { id } = await hostile.send(target.session, BOB, 'for Bob alone')
  const sent = () => hostile.sent(target.session, id)
  await eventually('Bob to have it', sent, ({ state }) => state === 'delivered')
  const accepted = await world.whatsapp.accepted(id)
  await siege.underWatch(async () => {
    await flood(async (at) => {
      const unknown = `3EB0${String(at).padStart(16, '0')}`
      await world.whatsapp.forgeReceipt(EVE, {
        to: target.jid,
        id: at % 3 === 0 ? id : unknown,
        type: 'retry',
      })
      await world.whatsapp.forgeReceipt(EVE, {
        to: target.jid,
        id: at % 3 === 0 ? unknown : id,
        type: 'read',
      })
    })
    await dealtWith()
  })
  expect(await world.whatsapp.messages(EVE)).toEqual([])
  expect(await world.whatsapp.accepted(id)).toEqual(accepted)
  expect(await sent()).toMatchObject({ state: 'delivered' })
  await world.whatsapp.forgeReceipt(BOB, { to: target.jid, id, type: 'read' })
  await eventually('Bob’s own receipt to count', sent, ({ state }) => state === 'read')
})

const word = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.constantFrom('retry', 'read', 'sender', 'server-error'),
)
const jid = fc.oneof(
  word,
  fc.constantFrom(`${EVE}@s.whatsapp.net`, '1@lid', '1@g.us', 'status@broadcast', '@', ':0@s.whatsapp.net'),
)
const node = fc.letrec((tie) => ({
  child: fc.record({
    tag: fc.oneof(
      fc.constantFrom('enc', 'retry', 'registration', 'keys', 'list', 'item', 'device', 'participants'),
      fc.string({ minLength: 1, maxLength: 8 }),
    ),
    attrs: fc.dictionary(fc.constantFrom('type', 'v', 'id', 'count', 'jid', 'value', 'error', 't'), word, {
      maxKeys: 4,
    }),
    content: fc.oneof(
      { depthSize: 'small' },
      fc.constant(undefined),
      word,
      fc.array(tie('child'), { maxLength: 3 }),
    ),
  }),
})).child
/** What the server may pass on of a stranger, with anything in it; what it says itself is not a stranger's. */
const stanza = fc.record({
  tag: fc.constantFrom('message', 'receipt', 'call'),
  attrs: fc.record(
    { id: word, from: jid, type: word, participant: jid, recipient: jid, sender_pn: jid, t: word },
    { requiredKeys: ['from'] },
  ),
  content: fc.oneof(fc.constant(undefined), word, fc.array(node, { maxLength: 4 })),
})

test('F3: stanzas of any content cost nobody a connection, and the session goes on', async () => {
  const { world, hostile, target } = siege
  const { logins } = await world.whatsapp.device(target.jid)
  await siege.underWatch(async () => {
    for (const one of fc.sample(stanza, { numRuns: FLOOD, seed: 12 }))
      await world.whatsapp.push(target.jid, one)
    await converse(hostile, world.whatsapp, target, BOB, 'all the same')
  })
  expect(await world.whatsapp.device(target.jid)).toMatchObject({ open: 1, openMax: 1, logins })
})
