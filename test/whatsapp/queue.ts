import type { Stanza } from './stanza.ts'

/** One stanza on its way to a device. */
export interface Queued {
  readonly node: Stanza
  /** How often it was written to a connection. */
  sends: number
}

/**
 * What a device still has to confirm, oldest first.
 *
 * A stanza leaves only when the device receipts or acknowledges it; the end of a connection changes nothing. The same
 * id can wait twice, a message and its re-send after a retry receipt, and a confirmation takes the oldest: Baileys
 * works through its messages one at a time, so the first confirmation belongs to the first copy.
 */
export interface Queue {
  readonly waiting: readonly Queued[]
  add(node: Stanza): Queued
  /** Takes the oldest stanza of that class and id; undefined when none waits. */
  confirm(tag: string, id: string): Queued | undefined
  clear(): void
  count(tag: string): number
}

export function queue(): Queue {
  const waiting: Queued[] = []
  return {
    waiting,
    add(node) {
      const entry = { node, sends: 0 }
      waiting.push(entry)
      return entry
    },
    confirm(tag, id) {
      const at = waiting.findIndex(({ node }) => node.tag === tag && node.attrs['id'] === id)
      return at < 0 ? undefined : waiting.splice(at, 1)[0]
    },
    clear: () => void waiting.splice(0),
    count: (tag) => waiting.filter(({ node }) => node.tag === tag).length,
  }
}
