/**
 * What nobody may read in a log: credentials, keys, message texts, phone numbers. The first line of defence is that nobody
 * logs such things; this is the second, and it looks at every field of every line, however deep.
 */

/** Fields that hold a secret or a text, whatever they are in. Compared in lower case. */
const SECRET_FIELDS = new Set(
  `creds keys key keyPair private privKey sealed ciphertext plaintext dataKey adminKey apiKey x-api-key
  noiseKey pairingEphemeralKeyPair signedIdentityKey signedPreKey advSecretKey authorization cookie token
  text body caption conversation extendedTextMessage content qr pairing pairingCode code_secret passphrase password secret`
    .toLowerCase()
    .split(/\s+/),
)
/** Fields that hold the number of a person. In other fields only a jid gives one away: names and ids may have digits. */
const NUMBER_FIELDS = new Set(['phone', 'to', 'chat', 'participant', 'jid', 'lid', 'sender'])
const DEPTH_MAX = 6
/** Fields and items of one line, all depths together: 64 items that hold 64 items each are two hundred thousand at the third. */
const VALUES_MAX = 1_000
/** A stack of twenty frames; whoever needs more of a text needs another tool than a log. */
export const TEXT_CHARACTERS_MAX = 4_096
const CENSORED = '[redacted]'

/**
 * Phone numbers keep their country code and last two digits; enough to recognise one's own, too little to call it.
 * A jid keeps its device and its server: `49•••••••12:3@s.whatsapp.net`.
 */
export function maskPhone(text: string): string {
  return text.replaceAll(
    /\d{7,}/g,
    (digits) => `${digits.slice(0, 2)}${'•'.repeat(digits.length - 4)}${digits.slice(-2)}`,
  )
}

/**
 * Secrets by their shape, where they stand in the middle of a text. Each takes time in proportion to the text, whatever
 * is in it: what follows its beginning is a run that can't hold another beginning, or is short, so it is walked over once.
 */
export const SHAPES: readonly [shape: RegExp, instead: string][] = [
  [/moor_[A-Za-z0-9_-]{32,}/g, `moor_${CENSORED}`],
  // The five parts of a QR, with or without the address that newer ones begin with.
  [/\d@[A-Za-z0-9+/=_-]{16,}(?:,[A-Za-z0-9+/=_-]*)+/g, CENSORED],
  [/\b(Bearer|Basic) +\S+/gi, `$1 ${CENSORED}`],
  [/:\/\/[^/\s:@]+:[^/\s@]+@/g, `://${CENSORED}@`],
]
/** The numbers of a jid, looked for where such a run begins and nowhere within it: 4,000 digits once took 42 s. */
export const JID = /(?<![\d.:_])[\d.:_]{7,}@/g

/** A text, cut, without the secrets that its shape gives away, and with the numbers of its jids masked. */
export function redactText(text: string): string {
  let shown = cut(text)
  for (const [shape, instead] of SHAPES) shown = shown.replaceAll(shape, instead)
  return shown.replaceAll(JID, maskPhone)
}

/** The word in the middle of which the cut fell goes too: half a secret does not have its shape any more. */
function cut(text: string): string {
  if (text.length <= TEXT_CHARACTERS_MAX) return text
  let end = TEXT_CHARACTERS_MAX
  while (end > 0 && !/\s/.test(text.charAt(end))) end--
  return `${text.slice(0, end)}… [${text.length} characters]`
}

/**
 * The same fields, none of them to be kept secret, none without end. Errors stay what they are: their serializer deals
 * with them.
 */
export function redact(fields: Record<string, unknown>): Record<string, unknown> {
  return redactFields(Object.entries(fields), 0, { values: VALUES_MAX })
}

/** What may still be shown of one line. */
interface Budget {
  values: number
}

function redactFields(
  fields: Iterable<[name: unknown, value: unknown]>,
  depth: number,
  left: Budget,
): Record<string, unknown> {
  const shown: Record<string, unknown> = {}
  for (const [key, value] of fields) {
    if (left.values-- <= 0) {
      shown['…'] = 'and more'
      break
    }
    const name = redactText(String(key))
    shown[name] = redactField(name, value, depth, left)
  }
  return shown
}

function redactField(name: string, value: unknown, depth: number, left: Budget): unknown {
  if (value === undefined || value === null || typeof value === 'boolean' || typeof value === 'number')
    return value
  if (SECRET_FIELDS.has(name.toLowerCase())) return CENSORED
  if (typeof value === 'string')
    return NUMBER_FIELDS.has(name) ? maskPhone(redactText(value)) : redactText(value)
  return redactValue(value, depth, left)
}

function redactValue(value: unknown, depth: number, left: Budget): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value !== 'object' || value === null || value instanceof Error || value instanceof Date)
    return value
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (depth >= DEPTH_MAX) return '[…]'
  if (Array.isArray(value)) return redactItems(value, depth + 1, left)
  return redactFields(value instanceof Map ? value : Object.entries(value), depth + 1, left)
}

function redactItems(items: readonly unknown[], depth: number, left: Budget): unknown[] {
  const shown: unknown[] = []
  for (const item of items) {
    if (left.values-- <= 0) return [...shown, `… ${items.length} in all`]
    shown.push(redactValue(item, depth, left))
  }
  return shown
}
