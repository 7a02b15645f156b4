import { proto } from '@whiskeysockets/baileys'

/** A text as the simplest WhatsApp message there is, encoded. */
export const plainText = (text: string): Uint8Array =>
  proto.Message.encode(proto.Message.create({ conversation: text })).finish()
