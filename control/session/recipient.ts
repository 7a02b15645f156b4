import { CodedError } from '#shared/errors.ts'
import { readPhoneNumber } from './phone-number.ts'

const JID = /^(?:\d{5,20}@s\.whatsapp\.net|\d{5,20}@lid|\d{5,25}(?:-\d{5,20})?@g\.us)$/

/** A jid, from a phone number or a jid. @throws CodedError `invalid_field`, without repeating what was sent */
export async function readRecipient(text: string): Promise<string> {
  if (JID.test(text)) return text
  if (!text.includes('@')) return `${await readPhoneNumber(text, 'to')}@s.whatsapp.net`
  throw new CodedError(
    'invalid_field',
    'to must be a phone number with its country code, or a jid of s.whatsapp.net, lid or g.us',
    { field: 'to' },
  )
}
