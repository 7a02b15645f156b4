import { z } from '@hono/zod-openapi'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { CodedError, ERRORS } from '#shared/errors.ts'
import type { ErrorCode } from '#shared/errors.ts'
import type { ControlContext } from './context.ts'

/** What a client is told of a bug: nothing but where to look. */
const INTERNAL_HINT = 'This is a fault of Mooring. Its log has the cause under this request id.'

export const ProblemSchema = z
  .object({
    type: z.string().openapi({ example: '/docs#problem-no_qr' }),
    title: z.string(),
    status: z.int(),
    code: z.string().openapi({ description: 'Stable; meant for programs.', example: 'no_qr' }),
    detail: z.string().openapi({ description: 'What was wrong with this request; meant for people.' }),
    hint: z.string().openapi({ description: 'What to do about it.' }),
    field: z.string().optional().openapi({ description: 'The field that failed.', example: 'want.state' }),
    errors: z
      .array(z.object({ field: z.string(), detail: z.string() }))
      .optional()
      .openapi({ description: 'Every field that failed, where there are several.' }),
    limit: z
      .object({ quota: z.string(), used: z.int(), allowed: z.int() })
      .optional()
      .openapi({ description: 'Which quota refused, how much of it is taken, and how much there is.' }),
    requestId: z.string(),
  })
  .openapi('Problem')

type Problem = z.infer<typeof ProblemSchema>

export const titleOf = (code: string): string => {
  const words = code.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/**
 * Answers any thrown value as a problem document (RFC 9457). Expected failures say what happened; everything else says
 * `internal` and nothing more, because the text of an unknown error may hold anything.
 */
export function answerError(error: unknown, c: ControlContext): Response {
  const known = toCoded(error)
  if (known instanceof CodedError) {
    const { http } = ERRORS[known.code]
    if (http >= 500) c.get('log').warn({ error }, 'request failed')
    if (known.retryAfterS !== undefined) c.header('Retry-After', String(known.retryAfterS))
    else if (http === 503) c.header('Retry-After', '1')
    if (known.code === 'unauthorized') c.header('WWW-Authenticate', 'Bearer realm="mooring"')
    return answer(c, {
      ...base(c, known.code, http, known.hint),
      detail: known.message,
      ...(known.field === undefined ? {} : { field: known.field }),
      ...(known.limit ? { limit: known.limit } : {}),
    })
  }
  c.get('log').error({ error }, 'request failed with an unexpected error')
  return answer(c, { ...base(c, 'internal', 500, INTERNAL_HINT), detail: 'Something unexpected happened.' })
}

/** The hook of every route: what the schema refuses becomes a problem that names the field. */
export function answerInvalid(error: z.ZodError, c: ControlContext): Response {
  const errors = error.issues.map((issue) => ({ field: fieldOf(issue), detail: issue.message }))
  const [first] = errors
  return answer(c, {
    ...base(c, 'invalid_field', ERRORS.invalid_field.http, ERRORS.invalid_field.hint),
    detail: first ? `${first.field}: ${first.detail}` : 'The request does not fit its schema.',
    ...(first ? { field: first.field } : {}),
    ...(errors.length > 1 ? { errors } : {}),
  })
}

/** For an address that has no handler; with the methods that it takes, where there is anything at it. */
export function answerNotFound(c: ControlContext, allowed: readonly string[]): Response {
  const code = allowed.length > 0 ? 'method_not_allowed' : 'not_found'
  if (allowed.length > 0) c.header('Allow', allowed.join(', '))
  return answer(c, {
    ...base(c, code, ERRORS[code].http, ERRORS[code].hint),
    detail: `There is no ${c.req.method} ${c.req.path}; /docs lists what there is.`,
  })
}

function base(
  c: ControlContext,
  code: ErrorCode | 'internal',
  status: number,
  hint: string,
): Omit<Problem, 'detail'> {
  return {
    type: `/docs#problem-${code}`,
    title: titleOf(code),
    status,
    code,
    hint,
    requestId: c.get('requestId'),
  }
}

function answer(c: ControlContext, problem: Problem): Response {
  return c.body(JSON.stringify(problem), problem.status as ContentfulStatusCode, {
    'content-type': 'application/problem+json',
  })
}

/** Hono's own refusals, in our words: it only refuses bodies that are no JSON or say they are something else. */
function toCoded(error: unknown): unknown {
  if (!(error instanceof HTTPException)) return error
  if (error.status === 400) return new CodedError('invalid_body', 'The body is not valid JSON.')
  if (error.status === 415) return new CodedError('invalid_body', 'The content-type does not fit this route.')
  return error
}

type Issue = z.ZodError['issues'][number]

/** The deepest field that an issue is about: unions are followed into the branch that came furthest. */
function fieldOf(issue: Issue): string {
  const path = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') return [...path, issue.keys[0]].join('.')
  if (issue.code === 'invalid_union') {
    const inner = issue.errors.flat().toSorted((a, b) => b.path.length - a.path.length)[0]
    if (inner && inner.path.length > 0) return [...path, fieldOf(inner)].join('.')
  }
  return path.length > 0 ? path.join('.') : 'body'
}
