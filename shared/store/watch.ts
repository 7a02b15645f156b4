/**
 * A watch is a hint that lowers latency; the periodic full pass is the truth. It may call twice for one change, call
 * for a change that is no longer visible, and miss changes while the store is away; it never ends by itself.
 */
export interface Watch {
  /** No call comes after it resolved. Closing twice is harmless. */
  close(): Promise<void>
}
