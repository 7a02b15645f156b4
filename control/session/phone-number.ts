import { CodedError } from '#shared/errors.ts'

/** What people type, or copy along, between digits: spaces, hyphens and brackets of all kinds. */
const WRITTEN = /^[\d\s\p{Zs}\p{Pd}()./+]+$/u
const SEPARATORS = /[\s\p{Zs}\p{Pd}()./]/gu
/** Arabic and Persian digits; those of full width become ours by their normal form. */
const ARABIC_DIGITS = /[\u0660-\u0669\u06f0-\u06f9]/g
/** Marks that are not to be seen: directions of writing, joiners, a byte order mark. Address books copy them along. */
const INVISIBLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu
/** "Only inside the country", as it is printed in Germany, Britain and others. */
const TRUNK_ZERO = /\(\s*0\s*\)/g
/** At most 15 digits (ITU-T E.164, section 6); no country's numbers have less than 7 with its code. */
const DIGITS = /^[1-9]\d{6,14}$/

/**
 * The digits of a phone number with its country code, from a number as people write it. Whether anybody has it is WhatsApp's to say;
 * one that can be read in two ways, or belongs to no country, is refused.
 * @throws CodedError `invalid_field`, with `field`, and without repeating the number
 */
export async function readPhoneNumber(text: string, field: string): Promise<string> {
  const refused = (why: string): CodedError =>
    new CodedError('invalid_field', `${field} must be a phone number with its country code: ${why}.`, {
      field,
      hint: 'Write it as for a call from abroad, for example +4915123456789.',
    })
  const seen = text
    .normalize('NFKC')
    .replaceAll(INVISIBLE, '')
    .replaceAll(ARABIC_DIGITS, (digit) => String(digit.charCodeAt(0) & 0xf))
    .trim()
  if (!WRITTEN.test(seen)) throw refused('there is something in it that is no part of one')
  const withoutZero = seen.replaceAll(TRUNK_ZERO, '')
  const [digits, rest] = [seen, withoutZero].map((one) => one.replaceAll(SEPARATORS, '')) as [string, string]
  if (digits.lastIndexOf('+') > 0) throw refused('there are two in it')
  if (/^\+?0/.test(digits)) throw refused('it begins with a zero, so its country is not known')
  if (!digits.startsWith('+') && withoutZero.includes('('))
    throw refused('an area code in brackets does not say of which country')
  const [written, dropped] = await Promise.all([parsed(digits), parsed(rest)])
  const found = written?.digits === dropped?.digits ? written : oneOf(written, dropped)
  if (found === 'both') throw refused('with its (0) and without it is a number')
  if (!found || !DIGITS.test(found.digits)) throw refused('no country has numbers like it')
  return found.digits
}

interface Parsed {
  digits: string
  isValid: boolean
}

/** The one that can be; where the tables know neither, the zero goes, as it says of itself. */
function oneOf(written: Parsed | undefined, dropped: Parsed | undefined): Parsed | 'both' | undefined {
  if (written?.isValid && dropped?.isValid) return 'both'
  return written?.isValid ? written : dropped
}

/**
 * The library takes away what is dialled inside a country alone. A zero goes; other digits stay as they were written: WhatsApp
 * has accounts with the 1 of Mexico and without it, and knows which.
 */
async function parsed(digits: string): Promise<Parsed | undefined> {
  // Tables of all countries: loaded when the first number is read.
  const { parsePhoneNumberFromString } = await import('libphonenumber-js/min')
  const typed = digits.replace('+', '')
  const number = parsePhoneNumberFromString(`+${typed}`)
  if (!number) return undefined
  const national = typed.slice(number.countryCallingCode.length)
  const hasTrunkZero = national.startsWith('0') && !number.nationalNumber.startsWith('0')
  return { digits: hasTrunkZero ? number.number.slice(1) : typed, isValid: number.isValid() }
}
