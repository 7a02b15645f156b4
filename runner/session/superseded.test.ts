import { describe, expect, test } from 'vitest'
import type { SupersededDevice } from '#shared/session.ts'
import { snapshot } from '#test/contract/samples.ts'
import type { UnaskedClose, UnlinkOutcome } from '../whatsapp/socket.ts'
import { compareDevices, judgeUnlink, supersededBy, withDevice } from './superseded.ts'

const device = (name: string, more: Partial<SupersededDevice> = {}): SupersededDevice => ({
  snapshot: name,
  state: 'pending',
  tries: 0,
  at: 1,
  ...more,
})

describe('A4 what a session was before', () => {
  test('is every backup of a device that was put aside, and no other backup', () => {
    const snapshots = [
      snapshot(50, { label: 'superseded' }),
      snapshot(40),
      snapshot(30, { label: 'logged_out' }),
      snapshot(20, { label: 'reset' }),
      snapshot(10, { label: 'reset', quarantined: 'bad_bytes' }),
    ]
    const found = supersededBy(snapshots, [])
    expect(found.map(({ snapshot: id, state }) => [id, state])).toEqual([
      ['1-20-n', 'pending'],
      ['1-50-n', 'pending'],
    ])
  })

  test('is what the status says of it, as long as the backup is kept', () => {
    const told = device('1-20-n', { state: 'retired', jid: 'a' })
    const logout = device('1-30-n')
    const snapshots = [snapshot(20, { label: 'reset' }), snapshot(30, { label: 'logout' })]
    expect(supersededBy(snapshots, [told, logout, device('1-10-n')])).toEqual([told, logout])
  })

  test('is told once a device, the oldest first, and ten at most', () => {
    const list = [device('a', { at: 1 }), device('b', { at: 2 })]
    expect(withDevice(list, device('a', { state: 'retired', at: 3 }))).toMatchObject([
      { snapshot: 'b' },
      { snapshot: 'a', state: 'retired' },
    ])
    const many = Array.from({ length: 12 }, (_, at) => device(`d${at}`, { at }))
    expect(many.reduce(withDevice, [] as readonly SupersededDevice[])).toEqual(many.slice(2))
  })
})

describe('A4 the live device is never taken for the one that it replaced', () => {
  const creds = (id: string, key: number) => ({
    me: { id },
    signedIdentityKey: { public: new Uint8Array(32).fill(key) },
  })
  const live = creds('491701:2@s.whatsapp.net', 2)

  test.for([
    ['the same device', creds('491701:2@s.whatsapp.net', 2), 'same'],
    ['the same key under another number', creds('491701:1@s.whatsapp.net', 2), 'same'],
    ['another key under the same number', creds('491701:2@s.whatsapp.net', 1), 'number_taken'],
    ['another device of the account', creds('491701:1@s.whatsapp.net', 1), 'another'],
    ['the same number of another account', creds('491702:2@s.whatsapp.net', 1), 'another'],
  ] as const)('%s is told apart', ([, archived, relation]) => {
    expect(compareDevices(archived, live)).toBe(relation)
  })

  test('keys are compared as bytes, however they are kept', () => {
    const same = creds('491701:1@s.whatsapp.net', 2)
    same.signedIdentityKey.public = Buffer.from(same.signedIdentityKey.public)
    expect(compareDevices(same, live)).toBe('same')
  })

  test('without a key on either side nothing is taken off', () => {
    expect(compareDevices({}, {})).toBe('same')
  })
})

describe('A4 the last connection of a device', () => {
  const closed = (report: Partial<UnaskedClose>, asked = false): UnlinkOutcome => ({
    ended: 'closed',
    asked,
    report: { by: 'server', message: 'closed', ...report },
  })
  const confirmed = 'WhatsApp confirmed that it is unlinked'
  const gone = 'it was not linked any more'

  test.for<[what: string, UnlinkOutcome, state: SupersededDevice['state'], why: string]>([
    ['a confirmation', { ended: 'confirmed' }, 'retired', confirmed],
    [
      'the end that unlinking brings',
      closed({ status: 401, conflict: 'device_removed' }, true),
      'retired',
      confirmed,
    ],
    ['a login that is refused with 401', closed({ status: 401 }), 'retired', gone],
    ['a removal meanwhile', closed({ conflict: 'device_removed' }), 'retired', gone],
    ['no answer', { ended: 'no_answer' }, 'pending', 'no answer'],
    ['a lost connection', closed({ status: 428 }, true), 'pending', 'connection_closed'],
    ['a server in trouble', closed({ status: 503 }), 'pending', 'unavailable'],
    ['HTTP trouble', closed({ http: 502 }), 'pending', 'http_trouble'],
    ['a restart', closed({ status: 515 }), 'pending', 'restart_required'],
    [
      'somebody else with its credentials',
      closed({ status: 440, conflict: 'replaced' }),
      'still_linked',
      'replaced',
    ],
    ['a ban', closed({ status: 403 }), 'still_linked', 'banned'],
    ['a temporary ban', closed({ status: 402 }), 'still_linked', 'temporary_ban'],
    ['a refusal of any other kind', closed({ status: 409 }), 'still_linked', 'refused'],
    ['a close of an unknown kind', closed({ status: 999 }), 'still_linked', 'unknown'],
    ['a refusal to unlink it', { ended: 'refused', code: 403 }, 'still_linked', '(403)'],
  ])('with %s is judged for what it is', ([, answer, state, why]) => {
    const outcome = judgeUnlink(answer, 0)
    expect(outcome).toMatchObject({ state, tries: 1, why: expect.stringContaining(why) })
    if (state === 'still_linked') expect(outcome.why).toContain('unlink it on the phone')
  })

  test('is tried three times where only the way there was in trouble, and then told', () => {
    expect(judgeUnlink({ ended: 'no_answer' }, 1)).toMatchObject({ state: 'pending', tries: 2 })
    expect(judgeUnlink({ ended: 'no_answer' }, 2)).toEqual({
      state: 'still_linked',
      why: 'WhatsApp could not be asked in 3 tries (no answer); unlink it on the phone, under "Linked devices"',
      tries: 3,
    })
  })
})
