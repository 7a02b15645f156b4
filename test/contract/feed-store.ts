import { expect } from 'vitest'
import { eventually } from './eventually.ts'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { AT, feedItem, keyOf, without } from './samples.ts'

const KEY = keyOf('t', 's')

const withoutCursor = (items: readonly { cursor: string }[]) => items.map((item) => without(item, 'cursor'))

/** The promises of `FeedStore`. */
export function feedStoreContract(make: Make, options: ContractOptions = {}): void {
  contract('FeedStore', make, options, (promise) => {
    promise('keeps messages that were acknowledged, in order', async ({ stores, reopen }) => {
      const image = without(feedItem(3, { kind: 'imageMessage' }), 'text')
      await stores.feed.add(KEY, [feedItem(2), feedItem(1)], AT)
      await stores.feed.add(KEY, [image], AT)
      await stores.close()
      const { items } = await (await reopen()).feed.list(KEY, { limit: 9 })
      expect(withoutCursor(items)).toEqual([feedItem(2), feedItem(1), image])
    })

    promise('leaves a message that is there already as it is', async ({ stores, reopen }) => {
      await stores.feed.add(KEY, [feedItem(1), feedItem(1, { text: 'twice in one call' })], AT)
      await stores.feed.add(KEY, [feedItem(1, { text: 'again' }), feedItem(2)], AT)
      await (await reopen()).feed.add(KEY, [feedItem(2)], AT)
      const { items } = await stores.feed.list(KEY, { limit: 9 })
      expect(withoutCursor(items)).toEqual([feedItem(1), feedItem(2)])
    })

    promise('tells messages of two senders with the same id apart', async ({ stores }) => {
      await stores.feed.add(KEY, [feedItem(1), feedItem(1, { from: 'other@s.whatsapp.net' })], AT)
      expect((await stores.feed.list(KEY, { limit: 9 })).items).toHaveLength(2)
    })

    promise('takes an empty list', async ({ stores }) => {
      await stores.feed.add(KEY, [], AT)
      expect((await stores.feed.list(KEY, { limit: 9 })).items).toEqual([])
    })

    promise('goes on after the cursor it gave, until the end and beyond', async ({ stores }) => {
      await stores.feed.add(
        KEY,
        [1, 2, 3].map((number) => feedItem(number)),
        AT,
      )
      const first = await stores.feed.list(KEY, { limit: 2 })
      expect(withoutCursor(first.items)).toEqual([feedItem(1), feedItem(2)])
      expect(first.next).toBe(first.items.at(-1)?.cursor)
      const second = await stores.feed.list(KEY, { limit: 2, after: first.next ?? '' })
      expect(withoutCursor(second.items)).toEqual([feedItem(3)])
      const none = await stores.feed.list(KEY, { limit: 2, after: second.next ?? '' })
      expect(none).toEqual({ items: [], next: second.next })
      await stores.feed.add(KEY, [feedItem(4)], AT)
      const later = await stores.feed.list(KEY, { limit: 2, after: none.next ?? '' })
      expect(withoutCursor(later.items)).toEqual([feedItem(4)])
    })

    promise('goes on in the middle of a page', async ({ stores }) => {
      await stores.feed.add(
        KEY,
        [1, 2, 3].map((number) => feedItem(number)),
        AT,
      )
      const { items } = await stores.feed.list(KEY, { limit: 9 })
      const rest = await stores.feed.list(KEY, { limit: 9, after: items[0]?.cursor ?? '' })
      expect(withoutCursor(rest.items)).toEqual([feedItem(2), feedItem(3)])
    })

    promise('refuses a cursor that none of its pages gave', async ({ stores }) => {
      for (const after of ['', 'x', '-1', '1e9', '../1'])
        await expect(stores.feed.list(KEY, { limit: 2, after })).rejects.toMatchObject({
          code: 'invalid_field',
          field: 'after',
        })
    })

    promise('keeps sessions apart', async ({ stores }) => {
      await stores.feed.add(keyOf('t', 's2'), [feedItem(1)], AT)
      await stores.feed.add(KEY, [feedItem(1), feedItem(2)], AT)
      const { items } = await stores.feed.list(KEY, { limit: 9 })
      expect(withoutCursor(items)).toEqual([feedItem(1), feedItem(2)])
      expect((await stores.feed.list(keyOf('t', 's2'), { limit: 9 })).items).toHaveLength(1)
    })

    promise('shows a reader who follows every message once', async ({ stores, reopen }) => {
      const { feed } = await reopen()
      const numbers = Array.from({ length: 30 }, (_, index) => index)
      const writing = (async () => {
        for (const number of numbers) await stores.feed.add(KEY, [feedItem(number)], AT)
      })()
      const seen: string[] = []
      let after: string | undefined
      await eventually('all are read', async () => {
        const page = await feed.list(KEY, { limit: 4, ...(after !== undefined && { after }) })
        seen.push(...page.items.map(({ id }) => id))
        after = page.next
        return seen.length >= numbers.length
      })
      await writing
      expect(seen).toEqual(numbers.map((number) => feedItem(number).id))
    })

    promise('shows a follower what is added after everything he read was swept', async ({ stores }) => {
      await stores.feed.add(KEY, [feedItem(1), feedItem(2)], AT)
      const { next = '' } = await stores.feed.list(KEY, { limit: 9 })
      expect(await stores.feed.sweep({ olderThanMs: AT + 1 })).toBe(2)
      await stores.feed.add(KEY, [feedItem(3)], AT)
      const { items } = await stores.feed.list(KEY, { limit: 9, after: next })
      expect(withoutCursor(items)).toEqual([feedItem(3)])
    })

    promise('removes what was added before a time and answers how many', async ({ stores }) => {
      await stores.feed.add(KEY, [feedItem(1), feedItem(2)], AT)
      await stores.feed.add(KEY, [feedItem(3)], AT + 5)
      expect(await stores.feed.sweep({ olderThanMs: AT + 5 })).toBe(2)
      expect(withoutCursor((await stores.feed.list(KEY, { limit: 9 })).items)).toEqual([feedItem(3)])
    })
  })
}
