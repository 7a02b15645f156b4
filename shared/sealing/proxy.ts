import type { SessionKey } from '#shared/ids.ts'
import { shownProxy } from '#shared/proxy-url.ts'
import type { Want } from '#shared/session.ts'
import type { AgeIdentity } from './age-identity.ts'
import { openInboundText, sealInboundText } from './inbound.ts'

/** A life of its own in the line, so that a proxy is of no use under another session's name. */
const placeOf = (key: SessionKey): string => `mooring inbound v1|${key}|proxy`

/** For the runners alone: control could not open it again. */
export const sealProxy = (address: string, recipient: string, key: SessionKey): Promise<string> =>
  sealInboundText(address, recipient, placeOf(key))

/**
 * The whole address, with its credentials. A want of before they were sealed has it as it was written.
 * @throws what `openInboundText` throws
 */
export async function openProxy(
  proxy: NonNullable<Want['proxy']>,
  identities: readonly AgeIdentity[],
  key: SessionKey,
): Promise<string> {
  return 'url' in proxy ? proxy.url : openInboundText(proxy.sealed, identities, placeOf(key))
}

/** What may be shown of it to whoever may see the session. */
export const shownOf = (proxy: NonNullable<Want['proxy']>): string =>
  'url' in proxy ? shownProxy(proxy.url) : proxy.shown

/** Tells one proxy from the next. */
export const proxyVersion = (proxy: Want['proxy']): string | undefined =>
  proxy && ('url' in proxy ? proxy.url : proxy.sealed)
