import { createHash } from 'node:crypto'
import type { FeedItem } from '#shared/store/feed-store.ts'

/** A store keeps a million bytes of one record (shared/store/storable.ts); what is left is room for the other fields. */
export const TEXT_BYTES_MAX = 900_000
/** Ids and jids of WhatsApp are far shorter; longer ones are somebody's invention. */
const NAME_LENGTH_MAX = 200

/**
 * What is left of an item that no store keeps: first with a text that can be kept, as far as that goes, and marked; then
 * only that there was one; `undefined` when not even that was taken. Pure.
 */
export function lessOf(item: FeedItem): FeedItem | undefined {
  if (item.kind === 'unstorable') return undefined
  const { text } = item
  if (text !== undefined) {
    const whole = text.toWellFormed()
    const cut = cutToBytes(whole, TEXT_BYTES_MAX)
    const altered = [
      ...(whole === text ? [] : (['characters'] as const)),
      ...(cut === whole ? [] : (['cut'] as const)),
    ]
    if (altered.length > 0) return { ...item, text: cut, altered }
  }
  return {
    id: shortName(item.id),
    from: shortName(item.from),
    chat: shortName(item.chat),
    kind: 'unstorable',
    at: Number.isFinite(item.at) ? item.at : 0,
  }
}

/** A name that can be stored and is still told from others. */
export function shortName(name: string): string {
  if (name.length <= NAME_LENGTH_MAX && name.isWellFormed()) return name
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 16)
  return `${cutToBytes(name.toWellFormed(), NAME_LENGTH_MAX)}~${hash}`
}

/** At most so many bytes of it in UTF-8, and no part of a character. */
function cutToBytes(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text)
  return bytes.length <= bytesMax
    ? text
    : new TextDecoder().decode(bytes.subarray(0, bytesMax), { stream: true })
}
