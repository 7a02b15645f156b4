import { EventEmitter } from 'node:events'
import { initAuthCreds, type BinaryNode } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { fakeClock } from '#test/fake-clock.ts'
import { Linking, type LinkingDeps } from './linking.ts'
import type { UnaskedClose } from './socket.ts'

const qrOf = (ref: string, secret: string): string => `https://wa.me/x#${ref},noise,identity,${secret},1`

const notification = (type: string, child: string, attrs: Record<string, string> = {}): BinaryNode => ({
  tag: 'notification',
  attrs: { id: 'N1', from: '@s.whatsapp.net', type },
  content: [{ tag: child, attrs }],
})

/** A connection that shows QRs as rc14 makes them: always with the secret that there was at first. */
function begin() {
  const clock = fakeClock()
  const creds = initAuthCreds()
  const first = creds.advSecretKey
  const done: string[] = []
  const qrs: [text: string, forMs: number][] = []
  const ended: UnaskedClose[] = []
  const line = {
    ws: new EventEmitter(),
    sendNode: async ({ attrs }: BinaryNode) => void done.push(`ack ${attrs['id']} ${attrs['type']}`),
    query: async () => ({ tag: 'iq', attrs: { type: 'result' } }),
  } as unknown as LinkingDeps['line']
  const linking = new Linking({
    line,
    creds,
    browser: ['Ubuntu', 'Chrome', '1'],
    clock,
    changed: () => done.push('changed'),
    events: {
      qr: (text, forMs) => void qrs.push([text, forMs]),
      secretChanged: () => done.push('told'),
      codeOutdated: () => done.push('another code'),
    },
    end: (report) => ended.push(report),
  })
  return {
    clock,
    creds,
    first,
    linking,
    done,
    qrs,
    ended,
    show: (ref: string) => linking.qr(qrOf(ref, first)),
  }
}

test('F7: the secret is exchanged before it is acknowledged, and every QR from then on carries it, for the time that is left', async () => {
  const { clock, creds, first, linking, done, qrs, show } = begin()
  show('ref1')
  await clock.advance(10_000)
  linking.came(notification('companion_reg_refresh', 'companion_reg_refresh'))
  show('ref2')
  expect(creds.advSecretKey).not.toBe(first)
  expect(Buffer.from(creds.advSecretKey, 'base64')).toHaveLength(32)
  expect(qrs).toEqual([
    [qrOf('ref1', first), 60_000],
    [qrOf('ref1', creds.advSecretKey), 50_000],
    [qrOf('ref2', creds.advSecretKey), 20_000],
  ])
  expect(done).toEqual(['changed', 'ack N1 companion_reg_refresh', 'told'])
})

test('F7: a notification of that name without its child is none', () => {
  const { creds, first, linking, done } = begin()
  linking.came(notification('companion_reg_refresh', 'something_else'))
  expect([creds.advSecretKey, done]).toEqual([first, []])
})

test('F7: once a code was typed the secret stays, and the wish is acknowledged all the same', async () => {
  const { creds, linking, done } = begin()
  await linking.code('4915112345678')
  linking.came(notification('link_code_companion_reg', 'link_code_companion_reg', { stage: 'primary_hello' }))
  const derived = creds.advSecretKey
  linking.came(notification('companion_reg_refresh', 'pair-device-rotate-qr'))
  expect(creds.advSecretKey).toBe(derived)
  expect(done).toEqual(['changed', 'ack N1 companion_reg_refresh'])
})

test('a device that is linked is asked nothing of this', () => {
  const { creds, first, linking, done } = begin()
  creds.account = {}
  linking.came(notification('companion_reg_refresh', 'companion_reg_refresh'))
  linking.came(notification('passkey_prologue_request', 'passkey_request_options'))
  expect([creds.advSecretKey, done]).toEqual([first, []])
})

test('a server that wants another code again and again ends the window', async () => {
  const { linking, ended } = begin()
  for (let codes = 0; codes < 5; codes++) expect(await linking.code('4915112345678')).toMatch(/^[A-Z0-9]{8}$/)
  expect(await linking.code('4915112345678')).toBeUndefined()
  expect(ended).toMatchObject([{ linking: 'code_refused' }])
})
