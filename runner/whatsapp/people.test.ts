import { expect, test } from 'vitest'
import { encodeValue } from '../state/record.ts'
import { authorOf, ownAddresses, People } from './people.ts'

const ME = { id: '491700000001:5@s.whatsapp.net', lid: '1001:5@lid' }
const BOB = '491700000002@s.whatsapp.net'
const GROUP = '120363000000000001@g.us'

/** Bob's number is mapped one way, Cleo's the other. */
const people = (): People => {
  const mapping = new Map([
    ['lid-mapping/491700000002', '2002'],
    ['lid-mapping/3003_reverse', '491700000003'],
  ])
  const get = (key: string): Uint8Array | undefined =>
    mapping.has(key) ? encodeValue(mapping.get(key)) : undefined
  return new People({ creds: { me: ME }, records: { get } })
}

test.for<[string, boolean]>([
  ['491700000001@s.whatsapp.net', true],
  ['491700000001:7@s.whatsapp.net', true],
  ['491700000001:99@hosted', true],
  ['1001:2@lid', true],
  ['1001@s.whatsapp.net', false],
  ['491700000001@lid', false],
  [BOB, false],
  ['', false],
])('%s is one of our own devices: %s', ([jid, own]) => {
  expect(people().isOwn(jid)).toBe(own)
})

test('before pairing nobody is ours', () => {
  const nobody = new People({ creds: {}, records: { get: () => undefined } })
  expect([nobody.isOwn(undefined), nobody.isOwn(''), nobody.isOwn(BOB)]).toEqual([false, false, false])
})

test.for<[string, string, boolean]>([
  [BOB, '491700000002:3@s.whatsapp.net', true],
  [BOB, '2002:3@lid', true],
  ['3003@lid', '491700000003@s.whatsapp.net', true],
  [BOB, '2003@lid', false],
  [BOB, GROUP, false],
  [GROUP, GROUP, false],
])('%s and %s are the same person: %s', ([one, other, same]) => {
  expect(people().isSame(one, other)).toBe(same)
  expect(people().isSame(other, one)).toBe(same)
})

test.for<[string, string, Record<string, string>, boolean]>([
  ['its person by number', BOB, { from: '491700000002:1@s.whatsapp.net' }, true],
  ['its person by LID', BOB, { from: '2002@lid' }, true],
  ['its person by a LID that only the stanza maps', BOB, { from: '9@lid', sender_pn: BOB }, true],
  ['somebody else', BOB, { from: '491700000004@s.whatsapp.net' }, false],
  ['somebody who names its person', BOB, { from: '4@lid', participant: BOB, recipient: BOB }, false],
  ['somebody through a group', BOB, { from: GROUP, participant: BOB }, false],
  ['a member of its group', GROUP, { from: GROUP, participant: '2002:1@lid' }, true],
  ['our own phone in its group', GROUP, { from: GROUP, participant: '1001@lid' }, false],
  ['its group itself', GROUP, { from: GROUP }, false],
  ['a member outside of the group', GROUP, { from: '2002@lid' }, false],
])('F5: %s is a recipient, or not', ([, to, by, is]) => {
  expect(people().isRecipient(to, by)).toBe(is)
})

test('who wrote a stanza is named by it in a group and in a broadcast only', () => {
  expect(authorOf({ from: GROUP, participant: BOB })).toBe(BOB)
  expect(authorOf({ from: 'status@broadcast', participant: BOB })).toBe(BOB)
  expect(authorOf({ from: '9@lid', participant: BOB })).toBe('9@lid')
  expect(authorOf({ from: GROUP })).toBe('')
})

test('the account as records name it', () => {
  expect(ownAddresses({ me: ME })).toEqual(new Set(['491700000001', '1001_1']))
})
