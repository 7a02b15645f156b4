import { proto, unpadRandomMax16 } from '@whiskeysockets/baileys'
import { accountPn, lidOf, pnOf } from './accounts.ts'
import { isGroup, jid, parseJid } from './address.ts'
import { KEY_TYPE, keyNode, signedKeyNode } from './prekeys.ts'
import type { SignalRepository } from './signal-memory.ts'
import { bigEndian, bytes, children, seconds, stanza, type Stanza } from './stanza.ts'
import type { Device, KeyShelf, PreKey } from './world.ts'

/** A message that could be decrypted and says something to a person. */
export interface Opened {
  readonly id: string
  /** Jid of the device that sent it, by phone number. */
  readonly from: string
  /** The chat: the other person, or the group. */
  readonly chat: string
  readonly text: string
}

/**
 * Decrypts every part of a message, sender keys first as they come. Undefined when there was nothing for a person in
 * it; throws when a part does not decrypt.
 */
export async function openMessage(
  repository: SignalRepository,
  author: Device,
  message: Stanza,
): Promise<Opened | undefined> {
  const { id = '', from = '', recipient } = message.attrs
  const address = lidOf(author)
  let text: string | undefined
  for (const part of children(message, 'enc')) {
    const { type } = part.attrs
    const ciphertext = bytes(part)
    const padded =
      type === 'skmsg'
        ? await repository.decryptGroupMessage({ group: from, authorJid: address, msg: ciphertext })
        : await repository.decryptMessage({
            jid: address,
            type: type === 'pkmsg' ? 'pkmsg' : 'msg',
            ciphertext,
          })
    const content = proto.Message.decode(unpadRandomMax16(padded))
    const inner = content.deviceSentMessage?.message ?? content
    const item = inner.senderKeyDistributionMessage
    if (item) await repository.processSenderKeyDistributionMessage({ authorJid: address, item })
    text = textOf(inner) ?? text
  }
  if (text === undefined) return undefined
  const chat = recipient ?? (isGroup(from) ? from : accountPn(author.account))
  return { id, from: pnOf(author), chat: withoutDevice(chat), text }
}

function textOf(message: proto.IMessage): string | undefined {
  return message.conversation ?? message.extendedTextMessage?.text ?? undefined
}

function withoutDevice(address: string): string {
  const { user = '', server = '' } = parseJid(address) ?? {}
  return jid(user, server)
}

/** The receipt by which a device asks for a message again, with keys for a new session, as real phones send it. */
export function retryRequest(message: Stanza, count: number, shelf: KeyShelf, preKey: PreKey): Stanza {
  const { id = '', from, participant, recipient, t } = message.attrs
  return stanza('receipt', { id, to: from, participant, recipient, type: 'retry', t: seconds() }, [
    stanza('retry', { count: String(count), id, t, v: '1', error: '0' }),
    stanza('registration', {}, bigEndian(shelf.registrationId, 4)),
    stanza('keys', {}, [
      stanza('type', {}, KEY_TYPE),
      stanza('identity', {}, shelf.identity),
      keyNode(preKey),
      signedKeyNode(shelf.signedPreKey),
    ]),
  ])
}
