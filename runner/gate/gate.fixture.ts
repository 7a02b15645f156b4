import { initAuthCreds, proto } from '@whiskeysockets/baileys'

/** Credentials of a device that is linked, in the library's own shape. */
export const linkedCreds = (): object => ({
  ...initAuthCreds(),
  me: { id: '491701234567:5@s.whatsapp.net', lid: '9001:5@lid' },
  account: proto.ADVSignedDeviceIdentity.fromObject({
    details: Buffer.alloc(9, 1),
    accountSignatureKey: Buffer.alloc(32, 1),
    accountSignature: Buffer.alloc(64, 1),
    deviceSignature: Buffer.alloc(64, 1),
  }),
  nextPreKeyId: 31,
})
