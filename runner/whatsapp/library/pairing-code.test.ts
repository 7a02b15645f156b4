import { initAuthCreds, type BinaryNode } from '@whiskeysockets/baileys'
import { expect, test } from 'vitest'
import { saysBaileys } from './library.fixture.ts'
import { askForCode } from './pairing-code.ts'

const BROWSER = ['Ubuntu', 'Chrome', '22.04.4'] as const

/** Asks for a code, and hears `answer`. */
async function ask(answer: () => Promise<BinaryNode | undefined>) {
  const creds = initAuthCreds()
  const sent: BinaryNode[] = []
  let changed = 0
  const query = async (node: BinaryNode): Promise<BinaryNode | undefined> => {
    sent.push(node)
    return answer()
  }
  const asked = askForCode({ query }, creds, {
    phone: '4915112345678',
    browser: BROWSER,
    changed: () => void changed++,
  })
  return { answer: await asked, creds, sent, changed }
}

const childrenOf = (node: BinaryNode | undefined): BinaryNode[] =>
  Array.isArray(node?.content) ? node.content : []

test('rc14 as it is does not wait for the answer to its request for a code', () => {
  const unheard =
    /const requestPairingCode = async [^]{0,900}await sendNode\({[^]{0,2000}link_code_pairing_nonce[^]{0,400}return authState\.creds\.pairingCode;/
  expect(saysBaileys('Socket/socket.js', unheard)).toBe(1)
})

test('rc14 goes on by `pairingCode`, `pairingEphemeralKeyPair` and `me` when the code was typed', () => {
  const derived = 'derivePairingCodeKey(authState.creds.pairingCode, salt)'
  expect(saysBaileys('Socket/messages-recv.js', derived)).toBe(1)
  const finish = /jid: authState\.creds\.me\.id,\s+stage: 'companion_finish'/
  expect(saysBaileys('Socket/messages-recv.js', finish)).toBe(1)
})

test('a code is answered once WhatsApp has taken it, in a request that says what rc14’s says', async () => {
  const { answer, creds, sent, changed } = await ask(async () => ({ tag: 'iq', attrs: { type: 'result' } }))
  expect(answer).toEqual({ code: creds.pairingCode })
  expect([creds.me?.id, changed]).toEqual(['4915112345678@s.whatsapp.net', 1])
  const [hello] = childrenOf(sent[0])
  expect(hello?.attrs).toMatchObject({ stage: 'companion_hello', jid: creds.me?.id })
  expect(childrenOf(hello)).toHaveLength(5)
  for (const { tag } of childrenOf(hello))
    expect([tag, saysBaileys('Socket/socket.js', `tag: '${tag}'`)]).toEqual([tag, 1])
})

test.for([
  [
    'a refusal with its number',
    Object.assign(new Error('x'), { data: 429, output: { statusCode: 500 } }),
    429,
  ],
  ['a silence', Object.assign(new Error('Timed Out'), { output: { statusCode: 408 } }), undefined],
] as const)('%s is no code', async ([, error, refused]) => {
  const { answer } = await ask(() => Promise.reject(error))
  expect(answer).toEqual({ refused })
})

test('a connection that ends before the answer is an error', async () => {
  const gone = Object.assign(new Error('Connection Closed'), { output: { statusCode: 428 } })
  await expect(ask(() => Promise.reject(gone))).rejects.toThrow('Connection Closed')
})
