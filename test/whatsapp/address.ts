import { createHash } from 'node:crypto'

export const PHONE_SERVER = 's.whatsapp.net'
export const LID_SERVER = 'lid'
export const GROUP_SERVER = 'g.us'

/** Whom a jid names. Device 0 is the phone itself and is not written out. */
export interface Address {
  readonly user: string
  readonly server: string
  readonly device: number
}

/** Reads `user[:device]@server`; undefined when it is none. */
export function parseJid(jid: string | undefined): Address | undefined {
  const match = /^([^@:]*)(?::(\d+))?@(.+)$/.exec(jid ?? '')
  if (!match) return undefined
  return { user: match[1] ?? '', server: match[3] ?? '', device: Number(match[2] ?? 0) }
}

/** The inverse of `parseJid`. */
export function jid(user: string, server: string, device = 0): string {
  return device === 0 ? `${user}@${server}` : `${user}:${device}@${server}`
}

/** Does this jid address people by their hidden identity instead of by phone number? */
export function isLid(address: string | undefined): boolean {
  return address?.endsWith(`@${LID_SERVER}`) ?? false
}

export function isGroup(address: string | undefined): boolean {
  return address?.endsWith(`@${GROUP_SERVER}`) ?? false
}

/** The hidden identity of a phone: 15 digits that look like WhatsApp's, the same in every run. */
export function lidUser(phone: string): string {
  const digest = createHash('sha256').update(`lid of ${phone}`).digest()
  return (100_000_000_000_000n + (digest.readBigUInt64BE() % 100_000_000_000_000n)).toString()
}
