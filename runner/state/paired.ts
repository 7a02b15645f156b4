/** The fields of stored credentials that tell a linked device from one that is not. */
interface Linked {
  account?: { accountSignature?: unknown } | null
  me?: { id?: unknown } | null
}

/**
 * Whether credentials belong to a linked device. Never `creds.registered`: pairing by QR leaves it false for ever
 * (docs/facts/baileys.md §4.4). A number that asked for a code has `me` without a device.
 */
export function isPaired(creds: unknown): boolean {
  const { account, me } = (creds ?? {}) as Linked
  return Boolean(account?.accountSignature) && typeof me?.id === 'string' && /:\d+@/.test(me.id)
}
