import { splitKey, type SessionKey } from '#shared/ids.ts'
import { badCursor } from '#shared/store/cursor.ts'
import type { FeedStore } from '#shared/store/feed-store.ts'
import { OUTBOX_STATES, type OutboxState, type OutboxStore } from '#shared/store/outbox-store.ts'
import { mustAllBeStorable, mustBeStorable } from '#shared/store/storable.ts'
import { inner, pageOf, sweepOf, type MemoryClient } from './database.ts'

const rank = (state: OutboxState): number => OUTBOX_STATES.indexOf(state)

/** `failed` is an end that only a message which has not arrived yet can come to. */
const isAhead = (to: OutboxState, from: OutboxState): boolean =>
  to === 'failed' ? rank(from) <= rank('sent') : rank(to) > rank(from)

export function memoryOutboxStore(client: MemoryClient): OutboxStore {
  return {
    async enqueue(key, message) {
      const messages = inner(client.open().outbox, key)
      const stored = messages.get(message.id)
      if (stored) return stored
      mustBeStorable('enqueue a message', { message })
      messages.set(message.id, message)
      client.db.note('outbox', key)
      return message
    },

    get: async (key, id) => client.open().outbox.get(key)?.get(id),

    async list(key, { after, limit }) {
      const newestFirst = [...(client.open().outbox.get(key)?.values() ?? [])].toReversed()
      const from = after === undefined ? 0 : newestFirst.findIndex(({ id }) => id === after) + 1
      if (after !== undefined && from === 0) throw badCursor()
      return pageOf(newestFirst.slice(from), limit, ({ id }) => id)
    },

    pending: async (key, limit) =>
      [...(client.open().outbox.get(key)?.values() ?? [])]
        .filter(({ state }) => state === 'queued' || state === 'sending')
        .slice(0, limit),

    async waiting(tenant) {
      const { outbox } = client.open()
      const messages = [...outbox]
        .filter(([key]) => splitKey(key).tenant === tenant)
        .flatMap(([, ofSession]) => [...ofSession.values()])
        .filter(({ state }) => state === 'queued' || state === 'sending')
      const bytes = messages.reduce((sum, message) => sum + JSON.stringify(message).length, 0)
      return { messages: messages.length, bytes }
    },

    async advance(key, id, { state, error, nowMs }) {
      const messages = client.open().outbox.get(key)
      const stored = messages?.get(id)
      if (!messages || !stored || !isAhead(state, stored.state)) return
      const message = { ...stored, state, updatedAt: nowMs, ...(error && { error }) }
      mustBeStorable('advance a message', { message })
      messages.set(id, message)
    },

    sweep: async ({ key, olderThanMs = 0 }) =>
      sweepOf(client.open().outbox, key, ({ createdAt }) => createdAt < olderThanMs),

    watch: (changed) => client.db.watch('outbox', (key) => changed(key as SessionKey)),
  }
}

export function memoryFeedStore(client: MemoryClient): FeedStore {
  return {
    async add(key, items, nowMs) {
      mustAllBeStorable('add to the feed', items)
      const db = client.open()
      const feed = inner(db.feeds, key)
      for (const item of items) {
        const name = `${item.from} ${item.id}`
        if (!feed.has(name)) feed.set(name, { item, cursor: db.nextCursor(), addedAt: nowMs })
      }
    },

    async list(key, { after, limit }) {
      if (after !== undefined && !/^\d{12}$/.test(after)) throw badCursor()
      const rest = [...(client.open().feeds.get(key)?.values() ?? [])].filter(
        ({ cursor }) => cursor > (after ?? ''),
      )
      const items = rest.slice(0, limit).map(({ item, cursor }) => ({ ...item, cursor }))
      const next = items.at(-1)?.cursor ?? after
      return { items, ...(next !== undefined && { next }) }
    },

    sweep: async ({ key, olderThanMs = 0 }) =>
      sweepOf(client.open().feeds, key, ({ addedAt }) => addedAt < olderThanMs),
  }
}
