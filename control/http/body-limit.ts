import type { MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { CodedError } from '#shared/errors.ts'
import type { ControlContext, ControlEnv } from './context.ts'

const BODY_BYTES_MAX = 1024 * 1024
/**
 * A client that still sends when its connection is closed is told of a reset instead of the answer. What is left of a body that
 * is a little too large is taken in first and thrown away; more than this nobody is waited for.
 */
const DRAIN_BYTES_MAX = 8 * 1024 * 1024
const DRAIN_FOR_MS = 1_000

/** Refuses a body that is too large with 413, and closes the connection: what comes behind it is the rest of that body. */
export function limitBody(): MiddlewareHandler<ControlEnv> {
  return async function limitBody(c, next) {
    // An import is counted as it goes by (routes/import.ts): a limit here would hold all of it.
    if (c.req.path.endsWith('/import')) return next()
    // Nobody reads it, and looking for it makes a whole Request of what is else a few headers.
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return next()
    const maxSize = BODY_BYTES_MAX
    const onError = async (): Promise<never> => {
      await drain(c)
      c.header('Connection', 'close')
      throw new CodedError('too_large', `The body has more than ${maxSize} bytes.`)
    }
    return bodyLimit({ maxSize, onError })(c, next)
  }
}

/** Only what says beforehand how long it is; of anything else some was read already, and nobody knows how much is to come. */
async function drain(c: ControlContext): Promise<void> {
  const { body } = c.req.raw
  if (!body || body.locked || Number(c.req.header('content-length')) > DRAIN_BYTES_MAX) return
  const signal = AbortSignal.timeout(DRAIN_FOR_MS)
  await body.pipeTo(new WritableStream(), { signal, preventCancel: true }).catch(() => undefined)
}
