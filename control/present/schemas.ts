import { z } from '@hono/zod-openapi'
import { proxyTrouble } from '#shared/proxy-url.ts'
import { PHASES, WAITABLE } from '#shared/session.ts'
import { JOB_KINDS } from '#shared/store/job-store.ts'

/** Shapes that several resources share. Times are ISO 8601 in UTC, everywhere in the API. */

const LIMIT_MAX = 500
const LIMIT_DEFAULT = 100

export const Time = z.string().openapi({ format: 'date-time', example: '2026-11-22T08:15:30.000Z' })

export const SessionParam = z.object({
  id: z.string().openapi({ description: 'The name of the session.', example: 'support' }),
})

const limit = z.coerce
  .number()
  .int()
  .min(1)
  .max(LIMIT_MAX)
  .default(LIMIT_DEFAULT)
  .openapi({ description: `At most so many items, 1 to ${LIMIT_MAX}.` })

export const PageQuery = z.object({
  after: z.string().optional().openapi({ description: 'The `next` of the page before.' }),
  limit,
})

export const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform((text) => text === 'true')

export const pageOf = <S extends z.ZodType>(item: S) =>
  z.object({
    items: z.array(item),
    next: z.string().optional().openapi({ description: 'Ask with it as `after`; absent on the last page.' }),
  })

export const WantState = z.enum(['running', 'stopped'])
export const Reconnect = z.strictObject({ maxAttempts: z.int().min(1).max(1_000_000).optional() })
export const Proxy = z.strictObject({
  url: z
    .string()
    .superRefine((text, context) => {
      const message = proxyTrouble(text)
      if (message !== undefined) context.addIssue({ code: 'custom', message })
    })
    .openapi({
      description:
        'The address of an http, https or socks5 proxy, with credentials where it asks for them. It is judged as every address that a ' +
        'tenant names, and sealed for the runners before it is stored.',
      example: 'socks5://user:password@proxy.example.com:1080',
    }),
})
export const MetadataKey = z.string().min(1).max(64)
export const MetadataValue = z.string().max(1024)
export const METADATA_MAX = 50

export const WantSchema = z
  .object({
    state: WantState,
    generation: z.int().openapi({ description: 'Grows by one with every change; also the ETag.' }),
    restart: z.int().optional(),
    resume: z.int().optional(),
    pairing: z
      .object({
        id: z.string(),
        method: z.enum(['qr', 'code']),
        phone: z.string().optional(),
        replace: z.boolean(),
        openedAt: Time,
        expiresAt: Time,
      })
      .optional(),
    deleting: z.object({ purge: z.boolean() }).optional(),
    reconnect: z.object({ maxAttempts: z.int().optional() }).optional(),
    proxy: z.object({ url: z.string() }).optional().openapi({
      description:
        'Scheme, host and port. Credentials are never shown again: *** stands for them, and sent back like that they stay as they are.',
    }),
    metadata: z.record(z.string(), z.string()),
  })
  .openapi('Want')

export const UptimeSchema = z.object({
  connectedMs: z.int(),
  wantedMs: z.int(),
  connects: z.int(),
  disconnects: z.int(),
})

export const WaitingSchema = z.array(z.object({ what: z.enum(WAITABLE), since: Time })).openapi({
  description:
    'What has waited for longer than a minute. `inbox`: messages that came in are not in the feed yet. `outbox`: messages do ' +
    'not leave although it is connected. `journal`: what it learned can not be made durable. `writes`: states of messages, ' +
    'or lines of the audit trail.',
})

export const StatusSchema = z
  .object({
    phase: z.enum(PHASES),
    reason: z.string().nullable().openapi({ description: 'Why it is in this phase, for people.' }),
    observedGeneration: z
      .int()
      .openapi({ description: 'The generation of the want this status answers to.' }),
    phone: z.string().nullable(),
    jid: z.string().nullable(),
    deviceId: z.int().nullable(),
    owner: z.object({ runnerId: z.string(), epoch: z.int(), since: Time, alive: z.boolean() }).nullable(),
    pairing: z
      .object({
        windowId: z.string(),
        qr: z.string().optional(),
        code: z.string().optional(),
        expiresAt: Time,
      })
      .optional(),
    connectedAt: Time.nullable(),
    authenticatedAt: Time.nullable(),
    lastActivityAt: Time.nullable(),
    lastDisconnect: z.object({ code: z.int().nullable(), why: z.string(), at: Time }).nullable(),
    attempts: z.int().openapi({ description: 'Failed attempts in a row.' }),
    nextAttemptAt: Time.nullable(),
    until: Time.optional().openapi({ description: 'With `restricted`: when the ban ends.' }),
    snapshot: z.object({ seq: z.int(), at: Time, bytes: z.int() }).nullable(),
    waiting: WaitingSchema,
    superseded: z
      .array(
        z.object({
          jid: z.string().nullable(),
          state: z.enum(['pending', 'retired', 'still_linked']),
          why: z.string().nullable().openapi({ description: 'What happened, and what a person can do.' }),
          snapshot: z.string().openapi({ description: 'Keeps its credentials, for 30 days.' }),
          tries: z.int(),
          at: Time,
        }),
      )
      .openapi({
        description:
          'Devices that this session was before it was linked anew. Each takes itself off the phone once the session is ' +
          'connected; one that can not be taken off so is `still_linked`, and only the phone can remove it.',
      }),
    uptime: UptimeSchema,
  })
  .openapi('Status')

export const SessionSchema = z
  .object({
    id: z.string(),
    tenant: z.string(),
    life: z.string().nullable().openapi({
      description:
        'Another one each time that the name is used anew; null for a session of before there were lives.',
    }),
    want: WantSchema,
    status: StatusSchema,
    createdAt: Time,
    updatedAt: Time,
  })
  .openapi('Session')

/** What a 202 for a job says: the session, and where to ask how the job goes. */
export const SessionWithJobSchema = SessionSchema.extend({
  job: z.string().openapi({ description: 'Ask for it at /v1/sessions/{id}/jobs/{job}.' }),
}).openapi('SessionWithJob')

export const JobSchema = z
  .object({
    id: z.string(),
    kind: z.enum(JOB_KINDS),
    state: z.enum(['open', 'done', 'failed']),
    createdAt: Time,
    finishedAt: Time.nullable(),
    result: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
    error: z.object({ code: z.string(), detail: z.string() }).optional(),
    by: z.string(),
  })
  .openapi('Job')
