import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { FeedItem } from '#shared/store/feed-store.ts'
import { OUTBOX_STATES } from '#shared/store/outbox-store.ts'
import type { OutboxMessage } from '#shared/store/outbox-store.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { idempotencyKey, messageIdFor } from '../http/idempotency.ts'
import { iso } from '../present/present.ts'
import { answers, body, declare } from '../http/route.ts'
import { PageQuery, SessionParam, Time } from '../present/schemas.ts'
import { findForChange, findSession } from '../session/session-access.ts'

/**
 * What WhatsApp takes in one text message, in UTF-16 units as its apps count. In UTF-8 that is at most three times as many
 * bytes, far below the 1 MiB that a store takes in one document.
 */
const TEXT_LENGTH_MAX = 65_536
/** Spaces, control characters and those that fonts show as nothing: a person would see an empty bubble. */
const BLANK = /^[\s\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]*$/u
const PHONE = /^\+?([1-9]\d{4,14})$/
const JID = /^(?:\d{5,20}@s\.whatsapp\.net|\d{5,20}@lid|\d{5,25}(?:-\d{5,20})?@g\.us)$/

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
})

const SentSchema = z
  .object({
    id: z.string().openapi({ description: 'The WhatsApp message id.' }),
    state: z.enum(OUTBOX_STATES),
    to: z.string(),
    text: z.string(),
    createdAt: Time,
    updatedAt: Time,
    error: z.object({ why: z.string(), code: z.int().optional() }).optional(),
  })
  .openapi('SentMessage')

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
    const to = parseRecipient(asked.to)
    const { key } = await findForChange(services, c)
    const nowMs = services.clock.nowMs()
    const id = messageIdFor(c, services, ...key.split('~'))
    const queued: OutboxMessage = {
      id,
      to,
      text: asked.text,
      state: 'queued',
      createdAt: nowMs,
      updatedAt: nowMs,
    }
    await takePlace(c, key, queued)
    const message = await outbox.enqueue(key, queued)
    if (message.to !== to || message.text !== asked.text) {
      throw new CodedError('conflict', 'This Idempotency-Key was used for another message.', {
        field: 'Idempotency-Key',
      })
    }
    c.header('Location', `/v1/sessions/${c.req.valid('param').id}/messages/${id}`)
    return c.json(presentSent(message), 202)
  })

  /** A repeat under its Idempotency-Key takes no further place, so that it is answered also where there is none left. */
  async function takePlace(c: ControlContext, key: SessionKey, message: OutboxMessage): Promise<void> {
    try {
      await services.quotas.queue(c.get('tenant'), Buffer.byteLength(JSON.stringify(message)))
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
    const { key } = await findSession(services, c)
    const ask = { limit, ...(after === undefined ? {} : { after }) }
    if (direction === 'out') {
      const page = await outbox.list(key, ask)
      return c.json({ items: page.items.map(presentSent), ...nextOf(page.next) }, 200)
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
    const { key } = await findSession(services, c)
    const id = c.req.valid('param').message
    const message = await outbox.get(key, id)
    if (!message) throw new CodedError('not_found', `The session has sent no message ${JSON.stringify(id)}.`)
    return c.json(presentSent(message), 200)
  })
}

/** A jid, from a phone number or a jid. @throws CodedError `invalid_field`, without repeating what was sent */
export function parseRecipient(text: string): string {
  if (JID.test(text)) return text
  const digits = PHONE.exec(text.replaceAll(/[\s().-]/g, ''))?.[1]
  if (digits !== undefined && !text.includes('@')) return `${digits}@s.whatsapp.net`
  throw new CodedError(
    'invalid_field',
    'to must be a phone number with its country code, or a jid of s.whatsapp.net, lid or g.us',
    { field: 'to' },
  )
}

const nextOf = (next: string | undefined) => (next === undefined ? {} : { next })

const presentSent = (message: OutboxMessage): z.infer<typeof SentSchema> => ({
  id: message.id,
  state: message.state,
  to: message.to,
  text: message.text,
  createdAt: iso(message.createdAt),
  updatedAt: iso(message.updatedAt),
  ...(message.error ? { error: message.error } : {}),
})

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
