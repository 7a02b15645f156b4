import { isDeepStrictEqual } from 'node:util'
import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import { QUOTAS } from '#shared/quotas.ts'
import type { Want } from '#shared/session.ts'
import { defined } from '../present/present.ts'
import { METADATA_MAX, MetadataKey, MetadataValue, Proxy, Reconnect, WantState } from '../present/schemas.ts'
import { edit, without } from './session-access.ts'
import type { ProxyChange } from './want-proxy.ts'

/** What a client may declare of a want. Unknown fields are refused, since a typo would otherwise be silence. */

const Metadata = z
  .record(MetadataKey, MetadataValue)
  .refine((entries) => Object.keys(entries).length <= METADATA_MAX, {
    error: `at most ${METADATA_MAX} entries`,
  })

const declarable = {
  reconnect: Reconnect.optional(),
  proxy: Proxy.optional(),
  metadata: Metadata.optional(),
}

/** A want as it was read may be sent back: what only the API itself sets is taken and ignored. */
const ignored = z.unknown().optional().openapi({ description: 'Read-only: taken and ignored.' })
const readOnly = {
  generation: ignored,
  restart: ignored,
  resume: ignored,
  pairing: ignored,
  deleting: ignored,
}

/** It was taken, and read by nobody; whoever still sends it waits for calls that never come. */
const withoutWebhook = {
  error: (issue: { code?: string; keys?: readonly string[] }): string | undefined =>
    issue.code === 'unrecognized_keys' && issue.keys?.includes('webhook')
      ? 'webhook is no part of a want, and nothing was ever sent there; read GET …/messages?direction=in'
      : undefined,
}

export const NewWant = z.strictObject({ state: WantState.default('running'), ...declarable }, withoutWebhook)
export const WholeWant = z.strictObject({ state: WantState, ...declarable, ...readOnly }, withoutWebhook)
export const WantPatch = z.strictObject(
  {
    state: WantState.optional(),
    reconnect: Reconnect.nullable().optional(),
    proxy: Proxy.nullable().optional(),
    metadata: z
      .record(MetadataKey, MetadataValue.nullable())
      .optional()
      .openapi({ description: 'Merged by key; null removes one.' }),
  },
  withoutWebhook,
)

type Declared = z.infer<typeof NewWant> | z.infer<typeof WholeWant>

/** The want of a session that does not exist yet, but for its proxy, which is sealed once it has a name. */
export const newWant = (asked: Declared): Omit<Want, 'generation'> =>
  defined({
    state: asked.state,
    reconnect: asked.reconnect && defined(asked.reconnect),
    metadata: asked.metadata ?? {},
  })

/** What becomes of a want when another one is declared whole; `undefined` when it says so already. */
export function declareWhole(
  want: Want,
  asked: Declared,
  proxy: ProxyChange,
): Omit<Want, 'generation'> | undefined {
  const rest = without(withState(want, asked.state), 'reconnect', 'proxy') as Want
  return changed(want, edit(rest, { ...newWant(asked), ...withProxy(want, proxy) }))
}

/** As JSON merge patch (RFC 7396): what is not named stays, `null` removes. */
export function patchWant(
  want: Want,
  patch: z.infer<typeof WantPatch>,
  proxy: ProxyChange,
): Omit<Want, 'generation'> | undefined {
  const removed = (['reconnect', 'proxy'] as const).filter((field) => patch[field] === null)
  const set = defined({ reconnect: patch.reconnect ? defined(patch.reconnect) : undefined })
  const metadata = Object.fromEntries(
    Object.entries({ ...want.metadata, ...patch.metadata }).filter(
      (entry): entry is [string, string] => entry[1] !== null,
    ),
  )
  const base = withState(want, patch.state ?? want.state)
  return changed(want, { ...without(base, ...removed), ...set, ...withProxy(want, proxy), metadata })
}

const withProxy = ({ proxy: stored }: Want, change: ProxyChange): Pick<Want, 'proxy'> => {
  const proxy = change === 'keep' ? stored : change
  return proxy ? { proxy } : {}
}

/**
 * Another state for a want. A start by a person lifts whatever bar the session stood at, just as `resume` does; a stop
 * closes an open pairing window, which would otherwise wait behind a stopped session for a phone.
 */
export function withState(want: Want, state: Want['state']): Omit<Want, 'generation'> {
  if (state === want.state) return edit(want, {})
  if (state === 'stopped') return without(edit(want, { state }), 'pairing')
  return edit(want, { state, resume: want.generation + 1 })
}

/** `undefined` when it says the same. @throws as `demandFits` */
function changed(want: Want, next: Omit<Want, 'generation'>): Omit<Want, 'generation'> | undefined {
  const old = edit(want, {})
  if (isDeepStrictEqual(old, next)) return undefined
  demandFits(next, old)
  return next
}

const bytesOf = (want: Omit<Want, 'generation'>): number => Buffer.byteLength(JSON.stringify(want))

/**
 * The limits of a want, on what comes out: many small changes may add up to what none of them holds. One that is beyond them
 * already may still be made smaller.
 * @throws CodedError `limit_reached`, `invalid_field`
 */
export function demandFits(next: Omit<Want, 'generation'>, old?: Omit<Want, 'generation'>): void {
  const entries = Object.keys(next.metadata).length
  if (entries > METADATA_MAX && entries > Object.keys(old?.metadata ?? {}).length) {
    throw new CodedError(
      'invalid_field',
      `The metadata would have ${entries} entries; at most ${METADATA_MAX}.`,
      {
        field: 'want.metadata',
      },
    )
  }
  const [used, allowed] = [bytesOf(next), QUOTAS.wantBytes.byDefault]
  if (used <= allowed || (old && used <= bytesOf(old))) return
  throw new CodedError('limit_reached', `The want would have ${used} bytes; ${allowed} are allowed.`, {
    field: 'want',
    limit: { quota: 'wantBytes', used, allowed },
  })
}

/** True when the stored want is just what a creation asked for; then a repeat of it has nothing to complain about. */
export const saysTheSame = (want: Want, asked: Omit<Want, 'generation'>, proxyMark?: string): boolean =>
  isDeepStrictEqual(
    newWant(defined({ state: want.state, reconnect: want.reconnect, metadata: want.metadata })),
    asked,
  ) && (want.proxy && 'mark' in want.proxy ? want.proxy.mark : undefined) === proxyMark
