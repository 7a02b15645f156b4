import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { proto } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { certificateChain, ROOT_PUBLIC_KEY, STATIC_KEY } from './certificate.ts'
import { verify } from './curve.ts'

const { Details } = proto.CertChain.NoiseCertificate
const NOTHING = new Uint8Array()

test('the chain leads from the trusted root over the intermediate to the static key', () => {
  const { intermediate, leaf } = proto.CertChain.decode(certificateChain())
  const [upperBytes, lowerBytes] = [intermediate?.details ?? NOTHING, leaf?.details ?? NOTHING]
  const [upper, lower] = [Details.decode(upperBytes), Details.decode(lowerBytes)]
  expect(verify(ROOT_PUBLIC_KEY, upperBytes, intermediate?.signature ?? NOTHING)).toBe(true)
  expect(verify(upper.key ?? NOTHING, lowerBytes, leaf?.signature ?? NOTHING)).toBe(true)
  expect(STATIC_KEY.public.equals(lower.key ?? NOTHING)).toBe(true)
  expect(upper.issuerSerial).toBe(0)
})

test('the preload exchanges the root in another process without a file between them', async () => {
  const print = `import { WA_CERT_DETAILS } from '@whiskeysockets/baileys'
    process.stdout.write(WA_CERT_DETAILS.PUBLIC_KEY.toString('hex'))`
  const preload = new URL('trust.ts', import.meta.url).href
  const flags = ['--import', preload, '--input-type=module', '-e', print]
  const { stdout } = await promisify(execFile)(process.execPath, flags)
  expect(stdout).toBe(ROOT_PUBLIC_KEY.toString('hex'))
})
