import type { SessionKey } from '#shared/ids.ts'

/**
 * The one list of what sealed bytes are bound to. Bytes that are moved to another session, kind, epoch or seq can't be
 * opened there.
 */
export const entryAad = (key: SessionKey, epoch: number, seq: number): string =>
  `${key}|journal|${epoch}|${seq}`

export const chunkAad = (key: SessionKey, epoch: number, seq: number, index: number, last: boolean): string =>
  `${key}|snapshot|${epoch}|${seq}|${index}|${last ? 'last' : 'more'}`

/** Additional data of a wrapped data key (docs/design/state.md §6.8). */
export const dataKeyAad = (key: SessionKey, keyId: string): string => `${key.replace('~', '|')}|${keyId}`
