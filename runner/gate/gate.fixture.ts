import { zstdCompressSync } from 'node:zlib'
import { initAuthCreds, proto } from '@whiskeysockets/baileys'
import { encodeCbor } from '#shared/cbor.ts'
import { exportBundle } from '../state/bundle.ts'
import type { RecordMap } from '../state/record-map.ts'

/** Of what is below: bundles that open, made by somebody who knows the passphrase. */
export const BOMB_PASSPHRASE = 'correct horse battery staple'

const bundleOf = async (...frames: Uint8Array[]): Promise<Buffer> =>
  Buffer.concat(
    await exportBundle({
      records: { repack: () => frames.map((packed) => ({ firstKey: '', packed })) } as unknown as RecordMap,
      meta: {},
      passphrase: BOMB_PASSPHRASE,
      cost: { logN: 4, r: 8, p: 1 },
    }),
  )

/** 2 KB that unfold to 63 MiB of CBOR: one list of so many empty lists. */
export function manyLists(): Promise<Buffer> {
  const count = 63 << 20
  const head = Buffer.of(0x9a, 0, 0, 0, 0)
  head.writeUInt32BE(count, 1)
  return bundleOf(zstdCompressSync(Buffer.concat([head, Buffer.alloc(count, 0x80)])))
}

/** 69 KB that unfold to 200 frames of 3 MiB. */
export const manyFrames = (): Promise<Buffer> =>
  bundleOf(...Array.from({ length: 200 }, () => zstdCompressSync(encodeCbor(['a', Buffer.alloc(3 << 20)]))))

/** A folder of 62 MiB of JSON: four million names, and nothing in them. */
export const manyNames = (): Buffer =>
  Buffer.from(`{"files":{${Array.from({ length: 4_000_000 }, (_, at) => `"${at}":""`).join(',')}}}`)

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
