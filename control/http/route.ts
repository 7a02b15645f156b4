import { createRoute, z } from '@hono/zod-openapi'
import type { RouteConfig } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import type { Scope } from '#shared/store/api-key-store.ts'
import { accessOf, type Access } from './access.ts'
import { demandNamed, demandOperator, demandScope, resolveTenant } from './auth.ts'
import type { ControlEnv, Services } from './context.ts'
import { IDEMPOTENCY_HEADER } from './idempotency.ts'
import { ProblemSchema } from './problem.ts'

/** What else a route takes. */
export interface Takes {
  /** `Idempotency-Key`. */
  idempotent?: boolean
  /** `If-Match`. */
  guarded?: boolean
  /** A body that may be large; it begins when it is its tenant's turn. */
  upload?: boolean
}

const TENANT_PARAM = {
  tenant: z.string().optional().openapi({
    description:
      'Which tenant is meant: required with a key of the operator, needless with a key of a tenant.',
    example: 'acme',
  }),
}

const IDEMPOTENCY_PARAM = {
  [IDEMPOTENCY_HEADER]: z.string().optional().openapi({
    description:
      'A name for this attempt (1 to 200 visible characters). A repeat under the same name does nothing twice.',
  }),
}

const IF_MATCH_PARAM = {
  'if-match': z.string().optional().openapi({
    description: 'The ETag that the change is meant for; another one is refused with 412 `stale`.',
    example: '"3"',
  }),
}

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: ProblemSchema } },
})

/**
 * Declares a route once: its schema and its documentation, and by its row in the table of access what it demands. The demands
 * run before the schema is looked at, so that nobody without a key learns anything about fields. Problems are thrown, never
 * returned, so handlers are typed by the answers that `config` names and nothing else.
 */
export function declare<const R extends RouteConfig>(
  services: Services,
  takes: Takes,
  config: R,
): R & { getRoutingPath(): string } {
  const access = accessOf(config.method, config.path)
  const { scope } = access
  const request = (config.request ?? {}) as { query?: z.ZodObject; headers?: z.ZodObject }
  const query = (request.query ?? z.object({})).extend(access.of === 'tenant' ? TENANT_PARAM : {})
  const headers = (request.headers ?? z.object({}))
    .extend(takes.idempotent ? IDEMPOTENCY_PARAM : {})
    .extend(takes.guarded ? IF_MATCH_PARAM : {})
  const route: unknown = createRoute({
    ...config,
    operationId: operationId(config),
    request: { ...request, query, headers },
    security: scope === 'public' ? [] : [{ bearer: [scope] }, { apiKey: [scope] }],
    'x-scope': scope,
    'x-named-sessions': access.named,
    middleware: [
      ...(scope === 'public' ? [] : [admit(services, access, scope)]),
      ...(takes.upload ? [inTurn(services)] : []),
    ],
    responses: {
      ...config.responses,
      ...(scope === 'public'
        ? {}
        : { 401: problem('No key, or one that is not known'), 403: problem('A scope is missing') }),
      default: problem('What went wrong, by its `code`'),
    },
  } as never)
  return route as R & { getRoutingPath(): string }
}

/** `POST /v1/sessions/{id}/start` is `postSessionsIdStart`: what generated clients call it. */
const operationId = ({ method, path }: Pick<RouteConfig, 'method' | 'path'>): string =>
  path
    .replace('/v1/', '/')
    .replaceAll(/[^A-Za-z]+(.)/g, (_, letter: string) => letter.toUpperCase())
    .replaceAll(/[^A-Za-z]/g, '')
    .replace(/^/, method)

function admit(services: Services, access: Access, scope: Scope): MiddlewareHandler<ControlEnv> {
  const { flag, named, of } = access
  return async function admit(c, next) {
    const caller = c.get('caller')
    demandScope(caller, scope)
    if (flag && c.req.query(flag.name) === 'true') demandScope(caller, flag.scope)
    if (of === 'operator') demandOperator(caller)
    // The id of a removal is the name of its session and more.
    if (named !== 'filtered') demandNamed(caller, named, c.req.param('id')?.split('~')[0])
    if (of === 'tenant') c.set('tenant', await resolveTenant(services, caller, c.req.query('tenant')))
    await next()
  }
}

/** Before the body is read: what waits for its turn waits in the client, not in memory. */
function inTurn(services: Services): MiddlewareHandler<ControlEnv> {
  return async function inTurn(c, next) {
    const end = await services.quotas.upload(c.get('tenant'), c.req.raw.signal)
    try {
      await next()
    } finally {
      end()
    }
  }
}

/** A JSON body or answer. */
const json = <S extends z.ZodType>(schema: S) => ({ 'application/json': { schema } })

/** A request body that has to be there. */
export const body = <S extends z.ZodType>(schema: S) => ({ required: true, content: json(schema) })

/** An answer in JSON. */
export const answers = <S extends z.ZodType>(schema: S, description: string) => ({
  description,
  content: json(schema),
})
