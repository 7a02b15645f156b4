import { expect, test } from 'vitest'
import { readPhoneNumber } from './phone-number.ts'
import { readRecipient } from './recipient.ts'

test.for<[written: string, digits: string]>([
  ['4915123456789', '4915123456789'],
  ['+4915123456789', '4915123456789'],
  ['+49 151 2345-6789', '4915123456789'],
  ['+49 (0)151 23456789', '4915123456789'],
  ['+49 ( 0 ) 151/234.567.89', '4915123456789'],
  ['49 (0)151 23456789', '4915123456789'],
  ['+49 0151 23456789', '4915123456789'],
  ['(+49) 151 23456789', '4915123456789'],
  ['+44 (0)7911 123456', '447911123456'],
  ['\u202a+49 151 23456789\u202c', '4915123456789'],
  ['\ufeff+49\u00a0151\u202f23456789\u200b', '4915123456789'],
  ['+49 151\u201123456789', '4915123456789'],
  ['+49 151\u201323456789', '4915123456789'],
  ['\uff0b\uff14\uff19 151 23456789', '4915123456789'],
  ['+\u0664\u0669 151 \u0662\u0663\u0664\u06f5\u06f6\u06f7\u06f8\u06f9', '4915123456789'],
  // An Italian zero is part of the number, bracketed or not.
  ['+39 06 1234567', '39061234567'],
  ['+39 (0)6 1234567', '39061234567'],
  // Whether an account has the digit is WhatsApp's to say.
  ['+52 1 55 1234 5678', '5215512345678'],
  ['+52 55 1234 5678', '525512345678'],
  ['+55 47 91234567', '554791234567'],
  ['+1 (555) 000-1111', '15550001111'],
])('F10: %j is the number %s', async ([written, digits]) => {
  expect(await readPhoneNumber(written, 'to')).toBe(digits)
})

test.for([
  '0151 23456789',
  '0049 151 23456789',
  '(151) 234-56789',
  '+49 151 23456789 / +49 152 98765432',
  '+1 800 FLOWERS',
  '+49 151 23456789 ext. 5',
  '+999 1234567',
  '+49 1',
  '1234',
  '+4915123456789012345',
  '4915123456789x',
  '',
  ' ',
])('F10: %j is refused by its field, and not repeated', async (written) => {
  const error = await readPhoneNumber(written, 'phone').catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'invalid_field', field: 'phone' })
  expect((error as Error).message).toMatch(/^phone must be a phone number with its country code: .+\.$/)
  if (/\d{3}/.test(written)) expect((error as Error).message).not.toContain(written)
})

test.for([
  ['+49 151 2345-6789', '4915123456789@s.whatsapp.net'],
  ['4915123456789@s.whatsapp.net', '4915123456789@s.whatsapp.net'],
  ['123456789012345@lid', '123456789012345@lid'],
  ['120363041234567890@g.us', '120363041234567890@g.us'],
  ['4915123456789-1400000000@g.us', '4915123456789-1400000000@g.us'],
  ['4915123456789:3@s.whatsapp.net', undefined],
  ['status@broadcast', undefined],
  ['4915123456789@evil.example', undefined],
  ['', undefined],
] as const)('takes %s as the recipient %s', async ([text, jid]) => {
  if (jid === undefined) await expect(readRecipient(text)).rejects.toThrow(/^to must be/)
  else expect(await readRecipient(text)).toBe(jid)
})
