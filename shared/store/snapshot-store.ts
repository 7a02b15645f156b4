import type { SessionKey } from '../ids.ts'

/** The record of one immutable, encrypted object that holds a session's state at one seq. */
export interface SnapshotRecord {
  /** `{epoch}-{seq}-{nonce}`, or `{epoch}-{seq}-jump-{nonce}`; unique in the session. Sorts by nothing, use `seq` and `at`. */
  id: string
  /** The blob's name. */
  object: string
  seq: number
  /** Of the entry at this seq (`macOf`): a witness of the journal. Absent where the object is of version 1. */
  mac?: string
  epoch: number
  bytes: number
  /** Of the object, hex. */
  sha256: string
  dataKeyId: string
  /** Why it was taken: `size`, `count`, `age`, `demand`, `handover`, `logout`, `restore`, `import` … */
  reason: string
  /** A labelled one is kept 30 days, whatever retention says. */
  label?: string
  /** Holds no records of the application: to go back to, and for a start only where nothing else is left. */
  archive?: true
  /** Taken after the last write of a socket that ended in order; restoring it as the newest needs no fence. */
  clean: boolean
  at: number
  /** Set when its object turned out missing or damaged; it is never chosen again. */
  quarantined?: string
}

/** The index of the snapshots of every session. */
export interface SnapshotStore {
  /** Create-only by id. Durable when it resolves; a repeat with the same id is harmless. */
  record(key: SessionKey, snapshot: SnapshotRecord): Promise<void>
  /** Newest first (by seq, then at). A session without any yields none. */
  list(key: SessionKey): Promise<readonly SnapshotRecord[]>
  /** Marks one as unusable, with the reason. Harmless when it is gone. */
  quarantine(key: SessionKey, id: string, reason: string): Promise<void>
  /** Removes the record; the caller removes the object first. Harmless when it is gone. */
  remove(key: SessionKey, id: string): Promise<void>
}
