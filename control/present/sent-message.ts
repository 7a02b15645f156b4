import { z } from '@hono/zod-openapi'
import type { SessionKey } from '#shared/ids.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import { openRequest } from '#shared/sealing/outbox-bodies.ts'
import type { OutboxMessage } from '#shared/store/outbox-message.ts'
import { iso } from './present.ts'
import { Time } from './schemas.ts'

/** In order of progress as far as `played`; `failed` and `withdrawn` are ends before `sent`. */
const STATES = ['queued', 'sending', 'sent', 'delivered', 'read', 'played', 'failed', 'withdrawn'] as const
type State = (typeof STATES)[number]

export const SentSchema = z
  .object({
    id: z.string().openapi({ description: 'The WhatsApp message id.' }),
    state: z.enum(STATES).openapi({
      description:
        '`sending`: a runner has it, and sends it until WhatsApp acknowledges it. `sent`: WhatsApp has. `delivered`, ' +
        '`read`, `played`: a device, or its person, has. `failed`: see `error`. `withdrawn`: by DELETE.',
    }),
    to: z.string(),
    text: z.string(),
    createdAt: Time,
    updatedAt: Time,
    expiresAt: Time.optional().openapi({ description: 'What is not sent by then never is.' }),
    error: z
      .object({
        why: z.string().openapi({
          description:
            '`expired`; `account_changed` (the session was paired with another account meanwhile); `refused` by ' +
            'WhatsApp, with its `code`; `not_on_whatsapp` (nobody has this number); `not_storable`; `unreadable`.',
        }),
        code: z.int().optional(),
      })
      .optional(),
  })
  .openapi('SentMessage')

/**
 * A runner that has it looks for the acknowledgement for 20 s after its last try; one that says nothing for so long after
 * the message expired is gone.
 */
const SENDING_FOR_MS = 60_000

/** What a person is told of a message now, also when no runner has looked at it since it expired. Pure. */
function stateOf(message: OutboxMessage, nowMs: number): { state: State; error?: OutboxMessage['error'] } {
  const { state, reached, expiresAt = Infinity, error } = message
  const lastMs = expiresAt + (state === 'taken' ? SENDING_FOR_MS : 0)
  if ((state === 'queued' || state === 'taken') && lastMs <= nowMs)
    return { state: 'failed', error: { why: 'expired' } }
  if (state === 'taken') return { state: 'sending' }
  if (state === 'sent') return { state: reached ?? 'sent' }
  return { state, ...(error && { error }) }
}

/** @throws CodedError `bad_bytes`, `store_unavailable` */
export async function presentSent(
  { bodies, nowMs }: { bodies: Bodies; nowMs: number },
  key: SessionKey,
  message: OutboxMessage,
): Promise<z.infer<typeof SentSchema>> {
  const { text } = await openRequest(bodies, key, message)
  const { id, to, acceptedAt, updatedAt, expiresAt } = message
  return {
    id,
    to,
    text: text.body,
    createdAt: iso(acceptedAt),
    updatedAt: iso(updatedAt),
    ...(expiresAt !== undefined && { expiresAt: iso(expiresAt) }),
    ...stateOf(message, nowMs),
  }
}
