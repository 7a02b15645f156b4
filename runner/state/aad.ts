import type { SessionKey } from '#shared/ids.ts'

/**
 * The one list of what sealed bytes are bound to. Bytes that are moved to another session, kind, epoch or seq, or behind
 * another entry, can't be opened there.
 */
export const entryAad = (key: SessionKey, epoch: number, seq: number, follows?: string): string =>
  `${key}|journal|${epoch}|${seq}${follows === undefined ? '' : `|${follows}`}`

/** `mac` is that of the entry at the seq; snapshots of version 1 have none. */
export const chunkAad = (
  at: { key: SessionKey; epoch: number; seq: number; mac?: string | undefined },
  index: number,
  last: boolean,
): string => {
  const place = `${at.key}|snapshot|${at.epoch}|${at.seq}${at.mac === undefined ? '' : `|${at.mac}`}`
  return `${place}|${index}|${last ? 'last' : 'more'}`
}

/** Additional data of a wrapped data key (docs/design/state.md §6.8). */
export const dataKeyAad = (key: SessionKey, keyId: string): string => `${key.replace('~', '|')}|${keyId}`
