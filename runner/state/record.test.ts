import { initAuthCreds, proto, Curve } from '@whiskeysockets/baileys'
import { describe, expect, test } from 'vitest'
import { decodeValue, encodeValue, isLazy, recordKey, splitRecordKey } from './record.ts'

describe('a record', () => {
  test('has a key that is taken apart again, whatever the id holds', () => {
    for (const id of ['', '1', 'AA/B+c=', '12@g.us::34_1::0', '__index'])
      expect(splitRecordKey(recordKey('app-state-sync-key', id))).toEqual({ type: 'app-state-sync-key', id })
  })

  test('is a copy: later changes of the object do not reach it, nor the other way', () => {
    const value = { list: [1], key: Buffer.of(1, 2) }
    const encoded = encodeValue(value)
    value.list.push(2)
    value.key[0] = 9
    const first = decodeValue(encoded) as typeof value
    first.list.push(3)
    expect(decodeValue(encoded)).toEqual({ list: [1], key: Buffer.of(1, 2) })
  })

  test('keeps credentials so that libsignal takes their keys', () => {
    const creds = initAuthCreds()
    const stored = decodeValue(encodeValue(creds)) as typeof creds
    const { pairingCode: _, lastPropHash: __, routingInfo: ___, additionalData: ____, ...defined } = creds
    expect(stored).toEqual({
      ...defined,
      noiseKey: buffers(creds.noiseKey),
      pairingEphemeralKeyPair: buffers(creds.pairingEphemeralKeyPair),
      signedIdentityKey: buffers(creds.signedIdentityKey),
      signedPreKey: {
        ...creds.signedPreKey,
        keyPair: buffers(creds.signedPreKey.keyPair),
        signature: Buffer.from(creds.signedPreKey.signature),
      },
    })
    expect(Curve.sign(stored.signedIdentityKey.private, Buffer.from('text'))).toHaveLength(64)
    expect(Curve.sharedKey(stored.noiseKey.private, stored.signedIdentityKey.public)).toHaveLength(32)
  })

  test('keeps protobuf objects in a form that they can be made from again', () => {
    const key = proto.Message.AppStateSyncKeyData.fromObject({
      keyData: Buffer.from('0102', 'hex'),
      fingerprint: { rawId: 7, currentIndex: 1, deviceIndexes: [0, 1] },
      timestamp: 1_790_000_000,
    })
    const stored = decodeValue(encodeValue(key)) as Record<string, unknown>
    expect(proto.Message.AppStateSyncKeyData.fromObject(stored).toJSON()).toEqual(key.toJSON())
  })

  test('keeps no field that is undefined, and of an object of any class its own fields', () => {
    class Kept {
      list = [{ at: 1, gone: undefined }]
      gone = undefined
    }
    expect(encodeValue(new Kept())).toEqual(encodeValue({ list: [{ at: 1 }] }))
    expect(encodeValue({ deep: new Date(0) })).toEqual(encodeValue({ deep: '1970-01-01T00:00:00.000Z' }))
    expect(encodeValue({ deep: Object.assign(Object.create(null), { at: 1 }) })).toEqual(
      encodeValue({ deep: { at: 1 } }),
    )
  })

  test('of a type that is only a cache makes nobody wait', () => {
    expect(['device-list', 'lid-mapping', 'sender-key-memory'].every(isLazy)).toBe(true)
    expect(['session', 'sender-key', 'pre-key', 'tctoken', 'identity-key', 'creds'].some(isLazy)).toBe(false)
  })
})

const buffers = (pair: { public: Uint8Array; private: Uint8Array }) => ({
  public: Buffer.from(pair.public),
  private: Buffer.from(pair.private),
})
