import type { BinaryNode } from '@whiskeysockets/baileys'

/**
 * Makes rc14 work through messages in the order in which they came. It does so with what is marked as offline, one after
 * the other, and lets everything else overtake that: a message that comes while the backlog is in work would be tried
 * before the one that brings its key, and asked for once more. Marks a stanza that has no mark, before rc14 looks at it:
 * in the event `frame`. Its messages come as `append` then, which nobody here reads (docs/facts/baileys.md §14.6).
 */
export function inOrderOfArrival(stanza: BinaryNode): void {
  stanza.attrs['offline'] ??= '0'
}
