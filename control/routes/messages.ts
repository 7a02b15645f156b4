import { z } from '@hono/zod-openapi'
import { CodedError, hasCode } from '#shared/errors.ts'
import { bareJid, type SessionKey } from '#shared/ids.ts'
import type { FeedItem } from '#shared/store/feed-store.ts'
import { openRequest, sealRequest } from '#shared/sealing/outbox-bodies.ts'
import type { OutboxMessage } from '#shared/store/outbox-message.ts'
import { storedBytes } from '#shared/store/storable.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { idempotencyKey, messageIdFor } from '../http/idempotency.ts'
import { iso } from '../present/present.ts'
import { presentSent, SentSchema } from '../present/sent-message.ts'
import { answers, body, declare } from '../http/route.ts'
import { PageQuery, SessionParam, Time } from '../present/schemas.ts'
import { readRecipient } from '../session/recipient.ts'
import { findRecord, findRecordForChange } from '../session/session-access.ts'

/**
 * What WhatsApp takes in one text message, in UTF-16 units as its apps count. In UTF-8 that is at most three times as many
 * bytes, far below the 1 MiB that a store takes in one document.
 */
const TEXT_LENGTH_MAX = 65_536
/** Spaces, control characters and those that fonts show as nothing: a person would see an empty bubble. */
const BLANK = /^[\s\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]*$/u

/** docs/design/messages.md §13.3; a message is kept for 30 days, whatever becomes of it. */
const EXPIRES_DEFAULT_MS = 24 * 3_600_000
const EXPIRES_MAX_MS = 30 * EXPIRES_DEFAULT_MS

const NewMessage = z.strictObject({
  to: z.string().max(100).openapi({
    description: 'A phone number with its country code, or the jid of a person or a group.',
    example: '+4915123456789',
  }),
  text: z
    .string()
    .max(TEXT_LENGTH_MAX)
    .refine((text) => text.isWellFormed(), { error: 'has half of a surrogate pair, which is no character' })
    .refine((text) => !BLANK.test(text), { error: 'must have something to read in it' })
    .openapi({ description: `1 to ${TEXT_LENGTH_MAX} characters, at least one of them to be seen.` }),
  expiresAt: z.iso.datetime({ offset: true }).optional().openapi({
    description:
      'What is not sent by then never is, and has failed. At most 30 days ahead; without it, a day.',
    example: '2026-12-24T18:00:00Z',
  }),
})

const ReceivedSchema = z
  .object({
    id: z.string(),
    from: z.string(),
    chat: z.string(),
    text: z.string().optional(),
    altered: z
      .array(z.enum(['characters', 'cut']))
      .optional()
      .openapi({
        description:
          'Where no store keeps the text as it came: `characters` were replaced, its end was `cut`.',
      }),
    kind: z.string().openapi({
      description:
        '`text`, or the name of the content; `unstorable` where only this could be kept of the message.',
    }),
    at: Time,
    cursor: z.string(),
  })
  .openapi('ReceivedMessage')

const MessageQuery = PageQuery.extend({
  direction: z.enum(['out', 'in']).default('out'),
})

const ListSchema = z.object({
  items: z.array(z.union([SentSchema, ReceivedSchema])),
  next: z.string().optional(),
})

/** Messages: an outbox that a runner empties, and a feed of what came in. */
export function messageRoutes(app: ControlApp, services: Services): void {
  const tags = ['messages']
  const { outbox, feed } = services.stores
  const { bodies } = services
  const present = (key: SessionKey, message: OutboxMessage) =>
    presentSent({ bodies, nowMs: services.clock.nowMs() }, key, message)

  const send = declare(
    services,
    { idempotent: true },
    {
      method: 'post',
      path: '/v1/sessions/{id}/messages',
      tags,
      summary: 'Send a text',
      description:
        'It is stored, then sent as soon as the session is connected, once. `sent` means that WhatsApp has acknowledged it.',
      request: { params: SessionParam, body: body(NewMessage) },
      responses: { 202: answers(SentSchema, 'It is queued under this id') },
    },
  )
  app.openapi(send, async (c) => {
    const asked = c.req.valid('json')
    const to = await readRecipient(asked.to)
    const nowMs = services.clock.nowMs()
    const expiresAt = parseExpiry(asked.expiresAt, nowMs)
    const { key, session } = await findRecordForChange(services, c)
    const id = messageIdFor(c, services, ...key.split('~'))
    const { jid } = session.status ?? {}
    const queued: OutboxMessage = {
      id,
      to,
      state: 'queued',
      acceptedAt: nowMs,
      updatedAt: nowMs,
      expiresAt,
      ...(jid !== undefined && { account: bareJid(jid) }),
      request: await sealRequest(bodies, key, id, { type: 'text', text: { body: asked.text } }),
    }
    await takePlace(c, key, queued)
    const message = await outbox.enqueue(key, queued)
    const { text } = await openRequest(bodies, key, message)
    const isOther = asked.expiresAt !== undefined && message.expiresAt !== expiresAt
    if (message.to !== to || text.body !== asked.text || isOther) {
      throw new CodedError('conflict', 'This Idempotency-Key was used for another message.', {
        field: 'Idempotency-Key',
      })
    }
    c.header('Location', `/v1/sessions/${c.req.valid('param').id}/messages/${id}`)
    return c.json(await present(key, message), 202)
  })

  /** A repeat under its Idempotency-Key takes no further place, so that it is answered also where there is none left. */
  async function takePlace(c: ControlContext, key: SessionKey, message: OutboxMessage): Promise<void> {
    try {
      await services.quotas.queue(c.get('tenant'), storedBytes(message))
    } catch (error) {
      const isRepeat = idempotencyKey(c) !== undefined && (await outbox.get(key, message.id)) !== undefined
      if (!isRepeat) throw error
    }
  }

  const list = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/sessions/{id}/messages',
      tags,
      summary: 'What was sent, or what came in',
      description:
        'direction=out (the default): the newest first. direction=in: the feed, the oldest first; keep `next` and ask ' +
        'with it as `after` for what came since. Each message is in the feed once.',
      request: { params: SessionParam, query: MessageQuery },
      responses: { 200: answers(ListSchema, 'The messages') },
    },
  )
  app.openapi(list, async (c) => {
    const { direction, after, limit } = c.req.valid('query')
    const { key } = await findRecord(services, c)
    const ask = { limit, ...(after === undefined ? {} : { after }) }
    if (direction === 'out') {
      const page = await outbox.list(key, ask)
      const items = await Promise.all(page.items.map((message) => present(key, message)))
      return c.json({ items, ...nextOf(page.next) }, 200)
    }
    const page = await feed.list(key, ask)
    // An empty page gives back the cursor it was asked with, so that a reader can always go on with `next`.
    return c.json({ items: page.items.map(presentReceived), ...nextOf(page.next ?? after) }, 200)
  })

  const get = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/sessions/{id}/messages/{message}',
      tags,
      summary: 'How a message fares',
      request: { params: SessionParam.extend({ message: z.string().max(100) }) },
      responses: { 200: answers(SentSchema, 'The message') },
    },
  )
  app.openapi(get, async (c) => {
    const { key } = await findRecord(services, c)
    const id = c.req.valid('param').message
    const message = await outbox.get(key, id)
    if (!message) throw new CodedError('not_found', `The session has sent no message ${JSON.stringify(id)}.`)
    return c.json(await present(key, message), 200)
  })

  const withdraw = declare(
    services,
    {},
    {
      method: 'delete',
      path: '/v1/sessions/{id}/messages/{message}',
      tags,
      summary: 'Take a message back that has not left',
      description:
        'While it is queued. Once a runner has it this is 409 `too_late`: nobody knows then whether it has left.',
      request: { params: SessionParam.extend({ message: z.string().max(100) }) },
      responses: { 200: answers(SentSchema, 'It is withdrawn') },
    },
  )
  app.openapi(withdraw, async (c) => {
    const { key } = await findRecordForChange(services, c)
    const id = c.req.valid('param').message
    const message = await outbox
      .move(key, id, { to: 'withdrawn', nowMs: services.clock.nowMs() })
      .catch((cause: unknown) => {
        if (!hasCode(cause, 'state_changed')) throw cause
        throw new CodedError('too_late', 'The message is not queued any more.', { cause })
      })
    if (!message) throw new CodedError('not_found', `The session has sent no message ${JSON.stringify(id)}.`)
    return c.json(await present(key, message), 200)
  })
}

/** @throws CodedError `invalid_field` */
function parseExpiry(text: string | undefined, nowMs: number): number {
  if (text === undefined) return nowMs + EXPIRES_DEFAULT_MS
  const atMs = Date.parse(text)
  if (atMs > nowMs && atMs <= nowMs + EXPIRES_MAX_MS) return atMs
  const field = 'expiresAt'
  throw new CodedError('invalid_field', 'expiresAt must be within the next 30 days', { field })
}

const nextOf = (next: string | undefined) => (next === undefined ? {} : { next })

const presentReceived = (item: FeedItem & { cursor: string }): z.infer<typeof ReceivedSchema> => ({
  id: item.id,
  from: item.from,
  chat: item.chat,
  ...(item.text === undefined ? {} : { text: item.text }),
  ...(item.altered === undefined ? {} : { altered: [...item.altered] }),
  kind: item.kind,
  at: iso(item.at),
  cursor: item.cursor,
})
