import { randomBytes } from 'node:crypto'
import {
  aesEncryptCTR,
  bytesToCrockford,
  derivePairingCodeKey,
  getCompanionPlatformId,
  type AuthenticationCreds,
  type BinaryNode,
  type WASocket,
} from '@whiskeysockets/baileys'

/** What WhatsApp said to the wish for a code: the code holds, or why not; without a number where it said nothing in time. */
export type CodeAnswer = { code: string } | { refused: number | undefined }

/** Answers come in well under a second; a person waits. */
const ANSWER_WITHIN_MS = 10_000

const node = (tag: string, content: Uint8Array | string): BinaryNode => ({ tag, attrs: {}, content })

/**
 * Asks for a code to type into that phone, and waits for the answer. rc14's `requestPairingCode` shows its code without one,
 * also where WhatsApp has refused it. Everything after the answer is rc14's own: it reads `pairingCode` and `me`.
 * `changed` is called when the credentials were changed, before a byte leaves.
 * @throws Error when the connection ends before the answer
 */
export async function askForCode(
  line: Pick<WASocket, 'query'>,
  creds: AuthenticationCreds,
  ask: { phone: string; browser: readonly [string, string, string]; changed: () => void },
): Promise<CodeAnswer> {
  const { phone, browser } = ask
  const code = bytesToCrockford(randomBytes(5))
  const jid = `${phone}@s.whatsapp.net`
  creds.pairingCode = code
  creds.me = { id: jid, name: '~' }
  ask.changed()
  const [salt, iv] = [randomBytes(32), randomBytes(16)]
  const key = await derivePairingCodeKey(code, salt)
  const wrapped = Buffer.concat([salt, iv, aesEncryptCTR(creds.pairingEphemeralKeyPair.public, key, iv)])
  const hello: BinaryNode = {
    tag: 'link_code_companion_reg',
    attrs: { jid, stage: 'companion_hello', should_show_push_notification: 'true' },
    content: [
      node('link_code_pairing_wrapped_companion_ephemeral_pub', wrapped),
      node('companion_server_auth_key_pub', creds.noiseKey.public),
      node('companion_platform_id', getCompanionPlatformId([...browser])),
      node('companion_platform_display', `${browser[1]} (${browser[0]})`),
      node('link_code_pairing_nonce', '0'),
    ],
  }
  const attrs = { to: '@s.whatsapp.net', type: 'set', xmlns: 'md' }
  try {
    const answer: BinaryNode | undefined = await line.query(
      { tag: 'iq', attrs, content: [hello] },
      ANSWER_WITHIN_MS,
    )
    return answer ? { code } : { refused: undefined }
  } catch (error) {
    // rc14 puts the number of a refusal here, and 408 of a query that nobody answered elsewhere (docs/facts/baileys.md §1.1).
    const { data, output } = error as { data?: unknown; output?: { statusCode?: number } }
    if (typeof data === 'number') return { refused: data }
    if (output?.statusCode === 408) return { refused: undefined }
    throw error
  }
}
