import { describe, expect, test } from 'vitest'
import type { FeedItem } from '#shared/store/feed-store.ts'
import { mustAllBeStorable } from '#shared/store/storable.ts'
import { lessOf, TEXT_BYTES_MAX } from './storable-item.ts'

const ITEM: FeedItem = { id: 'M1', from: 'a@lid', chat: 'a@lid', kind: 'text', text: 'x', at: 1 }
const less = (more: Partial<FeedItem>): FeedItem | undefined => lessOf({ ...ITEM, ...more })

describe('what is left of an item that no store keeps', () => {
  test('is a text with its broken characters replaced', () => {
    expect(less({ text: 'x\ud83dy 😀 \udc00' })).toEqual({
      ...ITEM,
      text: 'x\ufffdy 😀 \ufffd',
      altered: ['characters'],
    })
  })

  test('is the beginning of a text, to the last whole character that fits', () => {
    const cut = less({ text: `${'x'.repeat(TEXT_BYTES_MAX - 2)}😀😀` })
    expect(cut).toEqual({ ...ITEM, text: 'x'.repeat(TEXT_BYTES_MAX - 2), altered: ['cut'] })
    expect(less({ text: `\ud83d${'ä'.repeat(1 << 20)}` })?.altered).toEqual(['characters', 'cut'])
  })

  test('is that there was one, where the text is not to blame, and then nothing', () => {
    const bare = less({ text: 'fine', at: Number.NaN })
    expect(bare).toEqual({ id: 'M1', from: 'a@lid', chat: 'a@lid', kind: 'unstorable', at: 0 })
    expect(lessOf(bare ?? ITEM)).toBeUndefined()
  })

  test('can be stored whatever a stranger wrote, and is told from others', () => {
    const odd = (end: string): FeedItem => ({
      ...ITEM,
      id: `${'😀'.repeat(1 << 19)}\ud83d${end}`,
      from: '\udc00',
      text: '\ud83d'.repeat(1 << 20),
    })
    const [one, two] = ['1', '2'].map((end) => lessOf(lessOf(odd(end)) ?? ITEM))
    expect(() => mustAllBeStorable('add', [one, two])).not.toThrow()
    expect(one).toMatchObject({ kind: 'unstorable' })
    expect(one?.id).not.toBe(two?.id)
  })
})
