/** Immutable objects. Names are paths of `[A-Za-z0-9._~/-]`. */
export interface BlobStore {
  /**
   * Creates an object from `parts`, in order. Nothing is visible before all of it is durable; then it resolves.
   * When an answer is lost the adapter compares what is stored with what it sent before it says that a name is taken.
   * @throws CodedError `blob_exists`, `store_unavailable`
   */
  create(name: string, parts: readonly Uint8Array[]): Promise<void>
  /** The bytes of an object, in pieces of bounded size. @throws CodedError `blob_missing` at the first piece. */
  read(name: string): AsyncIterable<Uint8Array>
  /** Names with the prefix, ascending. None is an empty list. */
  list(prefix: string): Promise<readonly string[]>
  /** Removing what is not there is harmless. */
  remove(name: string): Promise<void>
}
