/** Immutable objects. Names are paths of `[A-Za-z0-9._~/-]`. */
export interface BlobStore {
  /**
   * Creates an object from `parts`, in order. Nothing is visible before all of it is durable; then it resolves.
   * When an answer is lost the adapter compares what is stored with what it sent before it says that a name is taken.
   *
   * Parts that come one by one are asked for as fast as they can be stored, once, and never held together: what fails is not
   * tried again, a name that is taken is `blob_exists` whatever it holds, and what they throw leaves no object.
   * @throws CodedError `blob_exists`, `store_unavailable`, and what `parts` throw
   */
  create(name: string, parts: readonly Uint8Array[] | AsyncIterable<Uint8Array>): Promise<void>
  /** The bytes of an object, in pieces of bounded size. @throws CodedError `blob_missing` at the first piece. */
  read(name: string): AsyncIterable<Uint8Array>
  /** Names with the prefix, ascending. None is an empty list. */
  list(prefix: string): Promise<readonly string[]>
  /** Removing what is not there is harmless. */
  remove(name: string): Promise<void>
}
