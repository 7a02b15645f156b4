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

/** Secrets by their shape, where they stand in the middle of a text. */
const SHAPES: readonly [shape: RegExp, instead: string][] = [
  [/moor_[A-Za-z0-9_-]{32,}/g, `moor_${CENSORED}`],
  // The five parts of a QR, with or without the address that newer ones begin with.
  [/\d@[A-Za-z0-9+/=_-]{16,}(?:,[A-Za-z0-9+/=_-]*)+/g, CENSORED],
  [/\b(Bearer|Basic) +\S+/gi, `$1 ${CENSORED}`],
  [/:\/\/[^/\s:@]+:[^/\s@]+@/g, `://${CENSORED}@`],
]
const JID = /\d{7,}(?=[.:_\d]*@)/g

/** A text without the secrets that its shape gives away, and with the numbers of its jids masked. */
export function redactText(text: string): string {
  let shown = text
  for (const [shape, instead] of SHAPES) shown = shown.replaceAll(shape, instead)
  return shown.replaceAll(JID, maskPhone)
}

/** The same fields, none of them to be kept secret. Errors stay what they are: their serializer deals with them. */
export function redact(fields: Record<string, unknown>): Record<string, unknown> {
  return redactFields(fields, 0)
}

function redactFields(fields: object, depth: number): Record<string, unknown> {
  const shown: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) shown[name] = redactField(name, value, depth)
  return shown
}

function redactField(name: string, value: unknown, depth: number): unknown {
  if (value === undefined || value === null || typeof value === 'boolean' || typeof value === 'number')
    return value
  if (SECRET_FIELDS.has(name.toLowerCase())) return CENSORED
  if (typeof value === 'string')
    return NUMBER_FIELDS.has(name) ? maskPhone(redactText(value)) : redactText(value)
  return redactValue(value, depth)
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value !== 'object' || value === null || value instanceof Error || value instanceof Date)
    return value
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (depth >= DEPTH_MAX) return '[…]'
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1))
  return redactFields(value instanceof Map ? Object.fromEntries(value) : value, depth + 1)
}
