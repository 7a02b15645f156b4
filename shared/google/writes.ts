import type { DocumentData, DocumentReference, Timestamp, WriteBatch } from '@google-cloud/firestore'

/** One atomic group of writes, counted as it grows. */
export class Writes {
  readonly batch: WriteBatch
  sets = 0
  deletes = 0

  constructor(batch: WriteBatch) {
    this.batch = batch
  }

  /** Refused with `exists` when the document is there. */
  create(ref: DocumentReference, data: DocumentData): void {
    this.batch.create(ref, data)
    this.sets++
  }

  set(ref: DocumentReference, data: DocumentData): void {
    this.batch.set(ref, data)
    this.sets++
  }

  /**
   * Writes the named fields and no others; refused with `missing`, or with `changed` when the document was written
   * since `unchangedSince`.
   */
  update(ref: DocumentReference, fields: DocumentData, unchangedSince?: Timestamp): void {
    if (unchangedSince) this.batch.update(ref, fields, { lastUpdateTime: unchangedSince })
    else this.batch.update(ref, fields)
    this.sets++
  }

  /** Refused with `changed` when the document was written, or is gone, since `unchangedSince`. */
  delete(ref: DocumentReference, unchangedSince?: Timestamp): void {
    if (unchangedSince) this.batch.delete(ref, { lastUpdateTime: unchangedSince })
    else this.batch.delete(ref)
    this.deletes++
  }
}
