import type { SessionKey } from '../ids.ts'

/** One immutable change to a session's Signal state, sealed. */
export interface JournalEntry {
  /** 1, 2, 3 … without a gap, from the first entry of the session on. */
  seq: number
  /** Of the owner who wrote it. */
  epoch: number
  nonce: string
  sealed: Uint8Array
}

/** The ordered log of changes of every session. An entry is durable before the protocol goes on. */
export interface JournalStore {
  /**
   * Stores one entry, create-only. Resolves once it is durable, so a caller may acknowledge to the network afterwards.
   * Entries of several sessions that wait at the same time may share one write.
   * @throws CodedError `seq_taken` when an entry with this seq exists, whosever it is (the journal reads it back and
   *   compares nonce and epoch); `store_unavailable` when it is not known whether it was written;
   *   `store_refused` when it was not and never will be
   */
  append(key: SessionKey, entry: JournalEntry): Promise<void>

  /**
   * Entries with `seq >= fromSeq`, ascending, as many as fit into a few MiB; ask again from the last seq + 1 until none
   * come. A session that was never written yields none.
   */
  read(key: SessionKey, fromSeq: number): Promise<readonly JournalEntry[]>

  /** The entry with the highest seq, without its bytes; `undefined` when there is none. */
  head(key: SessionKey): Promise<Omit<JournalEntry, 'sealed'> | undefined>

  /** Removes entries with `seq <= throughSeq`. A repeat is harmless. */
  truncate(key: SessionKey, throughSeq: number): Promise<void>
}
