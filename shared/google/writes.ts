import type { DocumentData, DocumentReference, Timestamp, WriteBatch } from '@google-cloud/firestore'
import { mustBeStorable } from '../store/storable.ts'

/**
 * One atomic group of writes, counted as it grows. What Firestore would refuse for good is refused here, before it is sent:
 * there it comes as any error at all (a lone surrogate as UNKNOWN), and one bad document undoes its whole group.
 */
export class Writes {
  readonly batch: WriteBatch
  readonly #what: string
  sets = 0
  deletes = 0

  constructor(batch: WriteBatch, what: string) {
    this.batch = batch
    this.#what = what
  }

  /** Refused with `exists` when the document is there. @throws CodedError `store_refused` */
  create(ref: DocumentReference, data: DocumentData): void {
    mustBeStorable(this.#what, data)
    this.batch.create(ref, data)
    this.sets++
  }

  /** @throws CodedError `store_refused` */
  set(ref: DocumentReference, data: DocumentData): void {
    mustBeStorable(this.#what, data)
    this.batch.set(ref, data)
    this.sets++
  }

  /**
   * Writes the named fields and no others; refused with `missing`, or with `changed` when the document was written
   * since `unchangedSince`. @throws CodedError `store_refused`
   */
  update(ref: DocumentReference, fields: DocumentData, unchangedSince?: Timestamp): void {
    mustBeStorable(this.#what, fields)
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
