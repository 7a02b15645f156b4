/** The key-encryption key: it wraps the data key of each session and never leaves its place. */
export interface KeyWrapper {
  /** Wraps 32 bytes, bound to `aad`: unwrapping under another `aad` fails. Control may do this. */
  wrap(dataKey: Uint8Array, aad: string): Promise<{ wrapped: Uint8Array; keyVersion: string }>
  /** Runners only. @throws CodedError `wrong_key`, `store_unavailable` */
  unwrap(wrapped: Uint8Array, aad: string): Promise<Uint8Array>
  /** The version that `wrap` uses now; a data key with another one is due for a re-wrap. */
  currentVersion(): Promise<string>
}
