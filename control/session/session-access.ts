import { CodedError } from '#shared/errors.ts'
import { keyOf, parseSessionId, sessionName } from '#shared/ids.ts'
import type { SessionKey, SessionName } from '#shared/ids.ts'
import type { Owner, Session, Want } from '#shared/session.ts'
import { noteChange } from '../http/audit.ts'
import { noSession } from '../http/auth.ts'
import type { ControlContext, Services } from '../http/context.ts'
import { idFor } from '../http/idempotency.ts'
import { presentSession } from '../present/present.ts'
import type { PresentedSession } from '../present/present.ts'

export interface Found {
  key: SessionKey
  session: Session
  owner: Owner | undefined
}

/** The session that the path names, in the tenant of the request. @throws CodedError `invalid_field` */
export const nameOf = (c: ControlContext): SessionName =>
  sessionName(c.get('tenant'), parseSessionId(c.req.param('id') ?? ''))

/** @throws CodedError `not_found`, also for what belongs to another tenant: its key is never even asked for */
export async function findSession(services: Services, c: ControlContext): Promise<Found> {
  const { key, session } = await findRecord(services, c)
  return { key, session, owner: await services.stores.owners.get(key) }
}

/** Without a look at who owns it. @throws as `findSession` */
export async function findRecord(services: Services, c: ControlContext): Promise<Omit<Found, 'owner'>> {
  const session = await services.stores.sessions.find(nameOf(c))
  if (!session) throw noSession(c.req.param('id') ?? '')
  return { key: keyOf(session), session }
}

/**
 * As `findSession`, for requests that want something of it.
 * @throws CodedError `conflict` while it is being deleted, as a version before there were removals began it
 */
export async function findForChange(services: Services, c: ControlContext): Promise<Found> {
  const found = await findSession(services, c)
  mustStay(found)
  return found
}

/** As `findRecord` and `findForChange`. */
export async function findRecordForChange(
  services: Services,
  c: ControlContext,
): Promise<Omit<Found, 'owner'>> {
  const found = await findRecord(services, c)
  mustStay(found)
  return found
}

function mustStay({ session }: Pick<Found, 'session'>): void {
  if (session.want.deleting)
    throw new CodedError('conflict', 'The session is being deleted; nothing of it can be changed any more.')
}

/** The session as an answer; its ETag is the generation of the want. */
export async function present(
  services: Services,
  c: ControlContext,
  found: Omit<Found, 'key'>,
): Promise<PresentedSession> {
  c.header('ETag', `"${found.session.want.generation}"`)
  return presentSession(found.session, found.owner, await services.fleet.view())
}

/** A want with some of its fields changed: everything but the generation, which the store counts. */
export function edit(want: Want, patch: Partial<Want>): Omit<Want, 'generation'> {
  const { generation: _, ...rest } = { ...want, ...patch }
  return rest
}

/** The same without some optional fields. */
export function without(
  want: Omit<Want, 'generation'>,
  ...fields: ('pairing' | 'deleting' | 'reconnect' | 'proxy')[]
): Omit<Want, 'generation'> {
  const rest = { ...want }
  for (const field of fields) delete rest[field]
  return rest
}

/**
 * Changes the want of a session that was found, under the request's `If-Match`, and notes it in the audit trail. When
 * `change` has nothing to do, or a request with the same `Idempotency-Key` has done it, nothing is written and noted.
 * @throws CodedError `stale`, `conflict`, `not_found`
 */
export async function changeWant(
  services: Services,
  c: ControlContext,
  found: Found,
  why: string,
  change: (want: Want) => Omit<Want, 'generation'> | undefined,
): Promise<Found> {
  const expectGeneration = ifMatch(c)
  let wrote = false
  const session = await services.stores.sessions.changeWant(
    found.key,
    (want) => {
      const changed = change(want)
      wrote = changed !== undefined
      return changed
    },
    {
      nonce: idFor(c, services.random, 'want', found.key, why),
      nowMs: services.clock.nowMs(),
      ...(expectGeneration === undefined ? {} : { expectGeneration }),
    },
  )
  if (wrote) {
    const detail = { generation: session.want.generation }
    const [from, to] = [found.session.want.state, session.want.state]
    await noteChange(services, c, found.key, {
      kind: 'want',
      why,
      detail,
      ...(from === to ? {} : { from, to }),
    })
  }
  return { ...found, session }
}

/** The generation that `If-Match` names. @throws CodedError `stale` for a tag that can be no generation of ours */
export function ifMatch(c: ControlContext): number | undefined {
  const header = c.req.header('if-match')
  if (header === undefined || header === '*') return undefined
  const match = /^(?:W\/)?"?(\d{1,15})"?$/.exec(header)
  if (!match) throw new CodedError('stale', 'The tag in If-Match is none that this API has given.')
  return Number(match[1])
}
