import { splitKey, type SessionKey } from '#shared/ids.ts'
import { badCursor } from '#shared/store/cursor.ts'
import type { FeedStore } from '#shared/store/feed-store.ts'
import { isOpen, type WaitingMessage } from '#shared/store/outbox-message.ts'
import { moved } from '#shared/store/outbox-moves.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'
import { mustAllBeStorable, mustBeStorable, storedBytes } from '#shared/store/storable.ts'
import { inner, pageOf, sweepOf, type MemoryClient } from './database.ts'

export function memoryOutboxStore(client: MemoryClient): OutboxStore {
  /** In the order of acceptance, which is that of the map: what is replaced keeps its place. */
  const open = (key: SessionKey): WaitingMessage[] => {
    const { outbox, places } = client.open()
    return [...(outbox.get(key)?.values() ?? [])]
      .filter(({ state }) => isOpen(state))
      .map((message) => ({ ...message, place: places.get(`${key} ${message.id}`) ?? '' }))
  }

  return {
    async enqueue(key, message) {
      const messages = inner(client.open().outbox, key)
      const stored = messages.get(message.id)
      if (stored) return stored
      mustBeStorable('enqueue a message', { message })
      messages.set(message.id, message)
      client.db.places.set(`${key} ${message.id}`, client.db.nextCursor())
      if (isOpen(message.state)) client.db.note('outbox', key)
      return message
    },

    get: async (key, id) => client.open().outbox.get(key)?.get(id),

    async list(key, { after, limit }) {
      const newestFirst = [...(client.open().outbox.get(key)?.values() ?? [])].toReversed()
      const from = after === undefined ? 0 : newestFirst.findIndex(({ id }) => id === after) + 1
      if (after !== undefined && from === 0) throw badCursor()
      return pageOf(newestFirst.slice(from), limit, ({ id }) => id)
    },

    pending: async (key, { after = '', limit }) =>
      open(key)
        .filter(({ place }) => place > after)
        .slice(0, limit),

    async waiting(tenant) {
      const keys = [...client.open().outbox.keys()].filter((key) => splitKey(key).tenant === tenant)
      const messages = keys.flatMap(open)
      return {
        messages: messages.length,
        bytes: messages.reduce((sum, message) => sum + storedBytes(message), 0),
      }
    },

    async move(key, id, move) {
      const messages = client.open().outbox.get(key)
      const stored = messages?.get(id)
      if (!messages || !stored) return undefined
      const message = moved(stored, move)
      mustBeStorable('move a message', { message })
      messages.set(id, message)
      return message
    },

    async sweep({ key, olderThanMs = 0 }) {
      const { outbox, places } = client.open()
      const swept = sweepOf(outbox, key, ({ acceptedAt }) => acceptedAt < olderThanMs)
      const kept = new Set([...outbox].flatMap(([of, ids]) => [...ids.keys()].map((id) => `${of} ${id}`)))
      for (const name of places.keys()) if (!kept.has(name)) places.delete(name)
      return swept
    },

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
