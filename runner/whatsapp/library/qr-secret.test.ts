import { expect, test } from 'vitest'
import { buildPairingQRData, Browsers } from '@whiskeysockets/baileys'
import { saysBaileys } from './library.fixture.ts'
import { withSecret } from './qr-secret.ts'

test('rc14 as it is makes every QR of a connection with the secret that it had at the first', () => {
  const closure =
    /const advB64 = creds\.advSecretKey;[^]{0,900}buildPairingQRData\(ref, .*, advB64, browser\)/
  expect(saysBaileys('Socket/socket.js', closure)).toBe(1)
  expect(saysBaileys('Socket/socket.js', 'configureSuccessfulPairing(stanza, creds)')).toBe(1)
})

test('a QR of rc14 gets the secret that holds now, and nothing else of it changes', () => {
  const browser = Browsers.ubuntu('Chrome')
  const made = (secret: string): string => buildPairingQRData('2@ref', 'noise=', 'identity=', secret, browser)
  expect(withSecret(made('old='), 'new=')).toBe(made('new='))
})

test('a text of another form is left as it is', () => {
  expect(withSecret('2@ref,noise,identity', 'new=')).toBe('2@ref,noise,identity')
})
