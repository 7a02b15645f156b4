import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import { keyOf, parseSessionId, removalId } from '#shared/ids.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import { byOf } from '../http/audit.ts'
import { demandNamed, noSession } from '../http/auth.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { createOnce } from '../session/create.ts'
import { eraseUntouched, isUntouched } from '../session/erase.ts'
import { purgeRemoved } from '../session/purge-removed.ts'
import { presentSession } from '../present/present.ts'
import { RemovalSchema, presentRemoval } from '../present/removal.ts'
import { ownedPage } from '../report/scan.ts'
import { answers, body, declare } from '../http/route.ts'
import { PageQuery, SessionParam, SessionSchema, flag, pageOf } from '../present/schemas.ts'
import {
  changeWant,
  findForChange,
  findSession,
  ifMatch,
  nameOf,
  present,
} from '../session/session-access.ts'
import { NewWant, WantPatch, WholeWant, declareWhole, newWant, patchWant } from '../session/want.ts'
import { proxyChange } from '../session/want-proxy.ts'

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
    { idempotent: true },
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
    const { want } = asked
    const session = await createOnce(services, c, parseSessionId(asked.id), newWant(want), want.proxy)
    return c.json(await present(services, c, { session, owner: undefined }), 201)
  })

  const list = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/sessions',
      tags,
      summary: 'List sessions',
      description: 'Of a tenant, or those that the key is for.',
      request: { query: PageQuery },
      responses: { 200: answers(pageOf(SessionSchema), 'The sessions, by name') },
    },
  )
  app.openapi(list, async (c) => {
    const { after, limit } = c.req.valid('query')
    const whose = { tenant: c.get('tenant'), names: c.get('caller').sessions }
    const [page, fleet] = await Promise.all([
      ownedPage(stores, whose, { after, limit }),
      services.fleet.view(),
    ])
    const items = page.items.map(([session, owner]) => presentSession(session, owner, fleet))
    return c.json({ items, ...(page.next === undefined ? {} : { next: page.next }) }, 200)
  })

  const get = declare(
    services,
    {},
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
    { guarded: true },
    {
      method: 'put',
      path: '/v1/sessions/{id}',
      tags,
      summary: 'Declare the want of a session, whole',
      description:
        'Creates the session when there is none, but not with a key for named sessions. What is left out goes back to its default. Repeating it changes nothing.',
      request: { params: SessionParam, body: body(z.object({ want: WholeWant })) },
      responses: {
        200: answers(SessionSchema, 'It exists and is wanted like this'),
        201: answers(SessionSchema, 'It was created'),
      },
    },
  )
  app.openapi(put, async (c) => {
    const { want } = c.req.valid('json')
    const there = await stores.sessions.find(nameOf(c))
    if (!there) {
      if (c.req.header('if-match') !== undefined) {
        throw new CodedError('stale', 'If-Match names a session that does not exist.')
      }
      demandNamed(c.get('caller'), 'refused', undefined)
      const id = parseSessionId(c.req.valid('param').id)
      const session = await createOnce(services, c, id, newWant(want), want.proxy)
      return c.json(await present(services, c, { session, owner: undefined }), 201)
    }
    const found = await findForChange(services, c)
    const proxy = await proxyChange(services, nameOf(c), found.key, found.session.want, want.proxy)
    const changed = await changeWant(services, c, found, 'put', (old) => declareWhole(old, want, proxy))
    return c.json(await present(services, c, changed), 200)
  })

  const patch = declare(
    services,
    { guarded: true },
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
    const proxy = await proxyChange(services, nameOf(c), found.key, found.session.want, want.proxy)
    const changed = await changeWant(services, c, found, 'patch', (old) => patchWant(old, want, proxy))
    return c.json(await present(services, c, changed), 200)
  })

  const remove = declare(
    services,
    { guarded: true },
    {
      method: 'delete',
      path: '/v1/sessions/{id}',
      tags,
      summary: 'Delete a session: unlink it and remove everything',
      description:
        'stop keeps the credentials, logout unlinks the device, delete removes all and frees the name at once. A runner does ' +
        'the work; Location says where to see how it goes. A labelled backup stays for 30 days unless you purge ' +
        '(scope `credentials`), which leaves nothing of any session that ever had the name. A session that no runner ever had is gone at once.',
      request: {
        params: SessionParam,
        query: z.object({
          purge: flag.openapi({
            description:
              'Keep nothing, also of earlier sessions of the name, and also when there is none of it now.',
          }),
        }),
      },
      responses: {
        202: answers(RemovalSchema, 'Its name is free, and it is being removed'),
        204: { description: 'It is gone' },
      },
    },
  )
  app.openapi(remove, async (c) => {
    const { purge } = c.req.valid('query')
    const session = await stores.sessions.find(nameOf(c))
    if (!session) {
      const last = purge ? await purgeRemoved(stores, nameOf(c)) : undefined
      if (!last) throw noSession(c.req.valid('param').id)
      return accepted(c, last)
    }
    const key = keyOf(session)
    const expected = ifMatch(c)
    const log = { sessionId: key, purge, keyPrefix: c.get('caller').prefix }
    if (isUntouched(session, await stores.owners.get(key))) {
      if (expected !== undefined && expected !== session.want.generation) {
        throw new CodedError('stale', `The session is at generation ${session.want.generation}.`)
      }
      await eraseUntouched(stores, key)
      c.get('log').info(log, 'session removed')
      const earlier = purge ? await purgeRemoved(stores, nameOf(c)) : undefined
      return earlier ? accepted(c, earlier) : c.body(null, 204)
    }
    const ask = { purge, by: byOf(c), nowMs: services.clock.nowMs() }
    const guard = expected === undefined ? {} : { expectGeneration: expected }
    const removal = await stores.sessions.remove(key, { ...ask, ...guard })
    c.get('log').info(log, 'session deleted')
    return accepted(c, removal)
  })

  function accepted(c: ControlContext, removal: Removal) {
    c.header('Location', `/v1/removals/${removalId(keyOf(removal.session))}`)
    return c.json(presentRemoval(removal), 202)
  }
}
