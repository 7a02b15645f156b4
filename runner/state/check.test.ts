import { Curve, initAuthCreds, proto } from '@whiskeysockets/baileys'
import { describe, expect, test } from 'vitest'
import { checkState } from './check.ts'
import { isPaired } from './paired.ts'
import { CREDS_KEY, encodeValue } from './record.ts'
import { RecordMap } from './record-map.ts'
import { bytes } from './testing.ts'

const linked = () => ({
  ...initAuthCreds(),
  me: { id: '491701234567:5@s.whatsapp.net' },
  account: proto.ADVSignedDeviceIdentity.fromObject({
    details: Buffer.alloc(9, 1),
    accountSignatureKey: Buffer.alloc(32, 1),
    accountSignature: Buffer.alloc(64, 1),
    deviceSignature: Buffer.alloc(64, 1),
  }),
  nextPreKeyId: 31,
})

function stateOf(creds: unknown, preKeys: readonly number[] = [1, 30]): RecordMap {
  const records = new RecordMap()
  if (creds !== undefined) records.set(CREDS_KEY, encodeValue(creds))
  for (const id of preKeys) records.set(`pre-key/${id}`, encodeValue(Curve.generateKeyPair()))
  return records
}

const problemsOf = (creds: unknown, preKeys?: readonly number[]) =>
  checkState(stateOf(creds, preKeys)).problems

describe('checking stored credentials', () => {
  test('C1 those of a linked device are valid and complete, as Baileys made them and after storing', () => {
    expect(checkState(stateOf(linked()))).toEqual({ valid: true, problems: [] })
  })

  const other = Curve.generateKeyPair()
  const { signedPreKey } = linked()
  test.for([
    ['missing altogether', undefined, 'there are no credentials'],
    ['nothing', null, 'the credentials are not readable'],
    ['not linked', { ...linked(), account: undefined }, 'the device is not linked'],
    ['without a device', { ...linked(), me: { id: '49@s.whatsapp.net' } }, 'the device is not linked'],
    ['without a noise key', { ...linked(), noiseKey: undefined }, 'the noise key is missing'],
    [
      'with a short identity key',
      { ...linked(), signedIdentityKey: { ...other, private: other.private.subarray(1) } },
      'the identity key is missing or has a wrong length',
    ],
    [
      'with halves of two keys',
      { ...linked(), noiseKey: { ...linked().noiseKey, public: other.public } },
      'the halves of the noise key',
    ],
    [
      'without a signature of the pre-key',
      { ...linked(), signedPreKey: { ...signedPreKey, signature: Buffer.alloc(3) } },
      'the signed pre-key has no signature',
    ],
    ['without a signed pre-key', { ...linked(), signedPreKey: undefined }, 'the signed pre-key is missing'],
    ['with an odd registration id', { ...linked(), registrationId: 70_000 }, 'the registration id'],
    ['without the companion’s secret', { ...linked(), advSecretKey: '' }, 'the secret of the companion'],
    [
      'with a counter that is too low',
      { ...linked(), nextPreKeyId: 30 },
      'the next pre-key id 30 is not above',
    ],
    ['with no counter', { ...linked(), nextPreKeyId: 'x' }, 'the next pre-key id is out of range'],
    [
      'with a torn signature',
      { ...linked(), account: { accountSignature: 'AAAA', deviceSignature: 'AAAA' } },
      'the signature of the account is missing',
    ],
  ] as const)('C1 %s: the problem is named', ([, creds, problem]) => {
    const { valid, problems } = checkState(stateOf(creds))
    expect(valid).toBe(false)
    expect(problems.some((one) => one.startsWith(problem))).toBe(true)
  })

  test('C1 without any pre-key nobody could write first', () => {
    expect(problemsOf(linked(), [])).toEqual(['there is no pre-key'])
  })

  test('C1 records that can’t be read are counted', () => {
    const records = stateOf(linked())
    records.set('session/49.0', bytes('no CBOR'))
    expect(checkState(records).problems).toEqual(['1 records are not readable'])
    records.set(CREDS_KEY, Buffer.from('9f', 'hex'))
    expect(checkState(records).problems).toEqual(['the credentials are not readable'])
  })

  test('names no secret', () => {
    const creds = {
      ...linked(),
      noiseKey: { ...linked().noiseKey, public: other.public },
      advSecretKey: 'c2VjcmV0',
    }
    expect(problemsOf(creds).join(' ')).not.toContain('c2VjcmV0')
  })
})

describe('isPaired', () => {
  const account = { accountSignature: 'AAAA' }
  test.for([
    ['fresh', {}, false],
    ['a QR is shown', { registered: false }, false],
    ['a code was asked for', { me: { id: '49@s.whatsapp.net', name: '~' } }, false],
    ['the code was typed', { me: { id: '49@s.whatsapp.net' }, registered: true }, false],
    ['paired by QR', { me: { id: '49:5@s.whatsapp.net' }, account, registered: false }, true],
    ['paired by code', { me: { id: '49:5@s.whatsapp.net' }, account, registered: true }, true],
    ['nothing', undefined, false],
    ['no object', 'x', false],
    ['an id that is no text', { me: { id: 5 }, account }, false],
  ] as const)('%s', ([, creds, paired]) => {
    expect(isPaired(creds)).toBe(paired)
  })
})
