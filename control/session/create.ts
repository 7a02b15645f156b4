import { CodedError, hasCode } from '#shared/errors.ts'
import { keyOf, sessionKey, sessionName } from '#shared/ids.ts'
import type { LifeId, SessionId } from '#shared/ids.ts'
import type { Session, Want } from '#shared/session.ts'
import { noteChange } from '../http/audit.ts'
import { noTenant } from '../http/auth.ts'
import type { ControlContext, Services } from '../http/context.ts'
import { idempotencyKey } from '../http/idempotency.ts'
import { demandFits, saysTheSame } from './want.ts'
import { proxyMark, sealedProxy } from './want-proxy.ts'

/**
 * Creates a session: a new life of its name. With an `Idempotency-Key`, a session that is there just as it was asked for is
 * the answer of the first attempt. Its proxy is sealed for its life alone.
 * @throws CodedError `exists`, `limit_reached`, and what `sealedProxy` throws
 */
export async function createOnce(
  services: Services,
  c: ControlContext,
  id: SessionId,
  asked: Omit<Want, 'generation'>,
  proxy?: { url: string },
): Promise<Session> {
  const { stores, clock, random } = services
  const tenant = c.get('tenant')
  const name = sessionName(tenant, id)
  const mayRepeat = idempotencyKey(c) !== undefined
  c.header('Location', `/v1/sessions/${id}`)
  const mark = proxy && proxyMark(services, name, proxy.url)
  const there = await stores.sessions.find(name)
  if (there && mayRepeat && saysTheSame(there.want, asked, mark)) return there
  if (there) throw new CodedError('exists', `There is a session ${JSON.stringify(id)} already.`)
  // A key of a tenant outlives the tenant for as long as its deletion takes.
  if (!(await stores.tenants.get(tenant))) throw noTenant(tenant)
  const life = random.id() as LifeId
  const sealed = proxy && (await sealedProxy(services, name, sessionKey(tenant, id, life), proxy))
  const want = sealed ? { ...asked, proxy: sealed } : asked
  demandFits(want)
  try {
    const session = await stores.sessions.create({ tenant, id, life, want, createdAt: clock.nowMs() })
    await noteChange(services, c, keyOf(session), { kind: 'want', why: 'create', to: want.state })
    return session
  } catch (error) {
    const winner = hasCode(error, 'exists') && mayRepeat ? await stores.sessions.find(name) : undefined
    if (winner && saysTheSame(winner.want, asked, mark)) return winner
    throw error
  }
}
