import { isDeepStrictEqual } from 'node:util'
import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import { QUOTAS } from '#shared/quotas.ts'
import type { Want } from '#shared/session.ts'
import { defined, maskPassword } from '../present/present.ts'
import {
  METADATA_MAX,
  MetadataKey,
  MetadataValue,
  Proxy,
  Reconnect,
  WantState,
  Webhook,
} from '../present/schemas.ts'
import { edit, without } from './session-access.ts'

/** What a client may declare of a want. Unknown fields are refused, since a typo would otherwise be silence. */

const Metadata = z
  .record(MetadataKey, MetadataValue)
  .refine((entries) => Object.keys(entries).length <= METADATA_MAX, {
    error: `at most ${METADATA_MAX} entries`,
  })

const declarable = {
  reconnect: Reconnect.optional(),
  webhook: Webhook.optional(),
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

export const NewWant = z.strictObject({ state: WantState.default('running'), ...declarable })
export const WholeWant = z.strictObject({ state: WantState, ...declarable, ...readOnly })
export const WantPatch = z.strictObject({
  state: WantState.optional(),
  reconnect: Reconnect.nullable().optional(),
  webhook: Webhook.nullable().optional(),
  proxy: Proxy.nullable().optional(),
  metadata: z
    .record(MetadataKey, MetadataValue.nullable())
    .optional()
    .openapi({ description: 'Merged by key; null removes one.' }),
})

type Declared = z.infer<typeof NewWant> | z.infer<typeof WholeWant>

/** The want of a session that does not exist yet. */
export const newWant = (asked: Declared): Omit<Want, 'generation'> =>
  defined({
    state: asked.state,
    reconnect: asked.reconnect && defined(asked.reconnect),
    webhook: asked.webhook,
    proxy: asked.proxy,
    metadata: asked.metadata ?? {},
  })

/** What becomes of a want when another one is declared whole; `undefined` when it says so already. */
export function declareWhole(want: Want, asked: Declared): Omit<Want, 'generation'> | undefined {
  const proxy = asked.proxy && keepPassword(asked.proxy, want)
  const declared = newWant(defined({ ...asked, proxy }))
  const rest = without(withState(want, asked.state), 'reconnect', 'webhook', 'proxy') as Want
  return changed(want, edit(rest, declared))
}

/** As JSON merge patch (RFC 7396): what is not named stays, `null` removes. */
export function patchWant(
  want: Want,
  patch: z.infer<typeof WantPatch>,
): Omit<Want, 'generation'> | undefined {
  const removed = (['reconnect', 'webhook', 'proxy'] as const).filter((field) => patch[field] === null)
  const set = defined({
    reconnect: patch.reconnect ? defined(patch.reconnect) : undefined,
    webhook: patch.webhook ?? undefined,
    proxy: patch.proxy ? keepPassword(patch.proxy, want) : undefined,
  })
  const metadata = Object.fromEntries(
    Object.entries({ ...want.metadata, ...patch.metadata }).filter(
      (entry): entry is [string, string] => entry[1] !== null,
    ),
  )
  const base = withState(want, patch.state ?? want.state)
  return changed(want, { ...without(base, ...removed), ...set, metadata })
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

/** A proxy that comes back as it was shown, with `***`, keeps the password that it has. */
const keepPassword = (asked: { url: string }, want: Want): { url: string } =>
  want.proxy && asked.url === maskPassword(want.proxy.url) ? want.proxy : asked

/** True when the stored want is just what a creation asked for; then a repeat of it has nothing to complain about. */
export const saysTheSame = (want: Want, asked: Omit<Want, 'generation'>): boolean =>
  isDeepStrictEqual(
    newWant(
      defined({
        state: want.state,
        reconnect: want.reconnect,
        webhook: want.webhook,
        proxy: want.proxy,
        metadata: want.metadata,
      }),
    ),
    asked,
  )
