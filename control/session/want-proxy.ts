import { createHmac } from 'node:crypto'
import { CodedError, hasCode } from '#shared/errors.ts'
import type { SessionKey, SessionName } from '#shared/ids.ts'
import { isShown, shownProxy } from '#shared/proxy-url.ts'
import { sealProxy, shownOf } from '#shared/sealing/proxy.ts'
import type { SealedProxy, Want } from '#shared/session.ts'
import type { Services } from '../http/context.ts'

/** What becomes of the proxy of a want: another one, the one that is stored, or none. */
export type ProxyChange = SealedProxy | 'keep' | undefined

const FIELD = 'want.proxy.url'

/**
 * The same for the same address of one session, so that a request which is repeated changes nothing; of no use to whoever reads
 * the store and would try passwords, since only control has the pepper. After another pepper a repeat counts as a change.
 */
export const proxyMark = ({ keyPepper }: Pick<Services, 'keyPepper'>, name: SessionName, url: string) =>
  createHmac('sha256', keyPepper)
    .update(`mooring proxy v1|${name}|${new URL(url).href}`)
    .digest('base64url')

/**
 * Judges where the address leads and seals it for the runners.
 * @throws CodedError `invalid_field`, `address_not_allowed`, `address_unknown`
 */
export async function sealedProxy(
  services: Services,
  name: SessionName,
  key: SessionKey,
  asked: { url: string },
): Promise<SealedProxy> {
  const { url } = asked
  if (isShown(url)) throw notThisOne()
  await services.guard.judge(url, 'proxy').catch((error: unknown) => {
    if (!hasCode(error, 'address_not_allowed', 'address_unknown')) throw error
    throw new CodedError(error.code, `${FIELD}: ${error.message}`, { field: FIELD, cause: error })
  })
  const sealed = await sealProxy(url, await services.transfer.recipient(), key)
  return { shown: shownProxy(url), sealed, mark: proxyMark(services, name, url) }
}

/** For a session that exists. What comes back as it was shown keeps its credentials. @throws as `sealedProxy` */
export async function proxyChange(
  services: Services,
  name: SessionName,
  key: SessionKey,
  want: Want,
  asked: { url: string } | null | undefined,
): Promise<ProxyChange> {
  if (!asked) return undefined
  const { proxy } = want
  if (proxy && isShown(asked.url) && asked.url === shownOf(proxy)) return 'keep'
  const isSame = proxy && 'mark' in proxy && proxy.mark === proxyMark(services, name, asked.url)
  return isSame ? 'keep' : sealedProxy(services, name, key, asked)
}

const notThisOne = (): CodedError =>
  new CodedError('invalid_field', `${FIELD}: *** stands for the credentials of the proxy that is stored.`, {
    field: FIELD,
    hint: 'Write the credentials out: those that are stored are never sent to another host.',
  })
