import { z } from '@hono/zod-openapi'
import { CodedError, hasCode } from '#shared/errors.ts'
import { parseSessionId, sessionKey } from '#shared/ids.ts'
import type { TenantId } from '#shared/ids.ts'
import type { Session, Want } from '#shared/session.ts'
import { noteChange } from '../http/audit.ts'
import { noTenant } from '../http/auth.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { eraseUntouched, isUntouched } from '../session/erase.ts'
import { idempotencyKey } from '../http/idempotency.ts'
import { presentSession } from '../present/present.ts'
import { answers, body, declare } from '../http/route.ts'
import { PageQuery, SessionParam, SessionSchema, flag, pageOf } from '../present/schemas.ts'
import {
  changeWant,
  edit,
  findForChange,
  findSession,
  ifMatch,
  keyOf,
  present,
} from '../session/session-access.ts'
import {
  NewWant,
  WantPatch,
  WholeWant,
  declareWhole,
  newWant,
  patchWant,
  saysTheSame,
} from '../session/want.ts'

const tags = ['sessions']

const NewSession = z.strictObject({
  id: z.string().openapi({ example: 'support' }),
  want: NewWant.default({ state: 'running' }),
})

/** Sessions: create, list, get, declare whole, change, delete. */
export function sessionRoutes(app: ControlApp, services: Services): void {
  const { stores } = services

  const create = declare(
    services,
    { scope: 'control', of: 'tenant', idempotent: true },
    {
      method: 'post',
      path: '/v1/sessions',
      tags,
      summary: 'Create a session',
      description: 'It is wanted running unless you say otherwise. Open a pairing window to link a phone.',
      request: { body: body(NewSession) },
      responses: { 201: answers(SessionSchema, 'The session') },
    },
  )
  app.openapi(create, async (c) => {
    const asked = c.req.valid('json')
    parseSessionId(asked.id)
    const session = await createOnce(c, asked.id, newWant(asked.want))
    return c.json(await present(services, c, { session, owner: undefined }), 201)
  })

  /** With an `Idempotency-Key`, a session that is there just as it was asked for is the answer of the first attempt. */
  async function createOnce(
    c: ControlContext,
    named: string,
    want: Omit<Want, 'generation'>,
  ): Promise<Session> {
    const [tenant, id] = [c.get('tenant'), parseSessionId(named)]
    const key = sessionKey(tenant, id)
    const mayRepeat = idempotencyKey(c) !== undefined
    c.header('Location', `/v1/sessions/${id}`)
    const there = await stores.sessions.get(key)
    if (there && mayRepeat && saysTheSame(there.want, want)) return there
    if (there) throw new CodedError('exists', `There is a session ${JSON.stringify(id)} already.`)
    await demandRoom(tenant)
    try {
      const session = await stores.sessions.create({ tenant, id, want, createdAt: services.clock.nowMs() })
      await noteChange(services, c, key, { kind: 'want', why: 'create', to: want.state })
      return session
    } catch (error) {
      const winner = hasCode(error, 'exists') && mayRepeat ? await stores.sessions.get(key) : undefined
      if (winner && saysTheSame(winner.want, want)) return winner
      throw error
    }
  }

  /** Two creations at the same instant may both find the last place free: the limit is a guard rail for people, not a lock. */
  async function demandRoom(tenant: TenantId): Promise<void> {
    const record = await stores.tenants.get(tenant)
    if (!record) throw noTenant(tenant)
    const sessionsMax = record.limits.sessions
    let count = 0
    let after: string | undefined
    for (;;) {
      const page = await stores.sessions.list({ tenant, limit: 500, ...(after ? { after } : {}) })
      count += page.items.length
      if (count >= sessionsMax) {
        throw new CodedError('limit_reached', `The tenant ${tenant} may have ${sessionsMax} sessions.`)
      }
      if (page.next === undefined) return
      after = page.next
    }
  }

  const list = declare(
    services,
    { scope: 'read', of: 'tenant' },
    {
      method: 'get',
      path: '/v1/sessions',
      tags,
      summary: 'List sessions',
      request: { query: PageQuery },
      responses: { 200: answers(pageOf(SessionSchema), 'The sessions, by name') },
    },
  )
  app.openapi(list, async (c) => {
    const { after, limit } = c.req.valid('query')
    const tenant = c.get('tenant')
    const [page, fleet] = await Promise.all([
      stores.sessions.list({ tenant, limit, ...(after === undefined ? {} : { after }) }),
      services.fleet.view(),
    ])
    const items = await Promise.all(
      page.items.map(async (session) =>
        presentSession(session, await stores.owners.get(sessionKey(tenant, session.id)), fleet),
      ),
    )
    return c.json({ items, ...(page.next === undefined ? {} : { next: page.next }) }, 200)
  })

  const get = declare(
    services,
    { scope: 'read', of: 'tenant' },
    {
      method: 'get',
      path: '/v1/sessions/{id}',
      tags,
      summary: 'One session: what is wanted, and how it is',
      request: { params: SessionParam },
      responses: { 200: answers(SessionSchema, 'The session; its ETag is the generation of the want') },
    },
  )
  app.openapi(get, async (c) => c.json(await present(services, c, await findSession(services, c)), 200))

  const put = declare(
    services,
    { scope: 'control', of: 'tenant', guarded: true },
    {
      method: 'put',
      path: '/v1/sessions/{id}',
      tags,
      summary: 'Declare the want of a session, whole',
      description:
        'Creates the session when there is none. What is left out goes back to its default. Repeating it changes nothing.',
      request: { params: SessionParam, body: body(z.object({ want: WholeWant })) },
      responses: {
        200: answers(SessionSchema, 'It exists and is wanted like this'),
        201: answers(SessionSchema, 'It was created'),
      },
    },
  )
  app.openapi(put, async (c) => {
    const { want } = c.req.valid('json')
    const there = await stores.sessions.get(keyOf(c))
    if (!there) {
      if (c.req.header('if-match') !== undefined) {
        throw new CodedError('stale', 'If-Match names a session that does not exist.')
      }
      const session = await createOnce(c, c.req.valid('param').id, newWant(want))
      return c.json(await present(services, c, { session, owner: undefined }), 201)
    }
    const found = await findForChange(services, c)
    const changed = await changeWant(services, c, found, 'put', (old) => declareWhole(old, want))
    return c.json(await present(services, c, changed), 200)
  })

  const patch = declare(
    services,
    { scope: 'control', of: 'tenant', guarded: true },
    {
      method: 'patch',
      path: '/v1/sessions/{id}',
      tags,
      summary: 'Change some of the want of a session',
      description: 'What is not named stays; null removes.',
      request: { params: SessionParam, body: body(z.strictObject({ want: WantPatch })) },
      responses: { 200: answers(SessionSchema, 'The session') },
    },
  )
  app.openapi(patch, async (c) => {
    const { want } = c.req.valid('json')
    const found = await findForChange(services, c)
    const changed = await changeWant(services, c, found, 'patch', (old) => patchWant(old, want))
    return c.json(await present(services, c, changed), 200)
  })

  const remove = declare(
    services,
    { scope: 'control', of: 'tenant', guarded: true },
    {
      method: 'delete',
      path: '/v1/sessions/{id}',
      tags,
      summary: 'Delete a session: unlink it and remove everything',
      description:
        'stop keeps the credentials, logout unlinks the device, delete removes all. A labelled backup stays for 30 days ' +
        'unless you purge. A runner does the work; a session that no runner ever had is gone at once.',
      request: {
        params: SessionParam,
        query: z.object({ purge: flag.openapi({ description: 'Remove the backups too, at once.' }) }),
      },
      responses: {
        202: answers(SessionSchema, 'It is being deleted'),
        204: { description: 'It is gone' },
      },
    },
  )
  app.openapi(remove, async (c) => {
    const { purge } = c.req.valid('query')
    const found = await findSession(services, c)
    if (isUntouched(found.session, found.owner)) {
      const expected = ifMatch(c)
      if (expected !== undefined && expected !== found.session.want.generation) {
        throw new CodedError('stale', `The session is at generation ${found.session.want.generation}.`)
      }
      await eraseUntouched(stores, found.key)
      c.get('log').info({ sessionId: found.key, keyPrefix: c.get('caller').prefix }, 'session removed')
      return c.body(null, 204)
    }
    const changed = await changeWant(services, c, found, 'delete', (want) => {
      if (want.deleting && (want.deleting.purge || !purge)) return undefined
      return edit(want, { deleting: { purge } })
    })
    return c.json(await present(services, c, changed), 202)
  })
}
