/**
 * Which messages may go now. A lane is a chat, in the order in which its messages were accepted: one goes on the wire only
 * when everything accepted before it in its lane is on the wire or over. So nothing overtakes, also past a failure, and a
 * lane whose first message can't go holds up no other lane.
 *
 * - `waiting`: stored as queued, or taken by an owner before this one;
 * - `taking`: being prepared and taken;
 * - `ready`: taken by us, so it may be sent, or sent again;
 * - `sending`: being encrypted and written to the connection;
 * - `on_wire`: written, and not acknowledged. Sent again when `notBeforeMs` has passed;
 * - `over`: acknowledged, failed or gone. It is in nobody's way, and stays until that is stored.
 */
export type Stage = 'waiting' | 'taking' | 'ready' | 'sending' | 'on_wire' | 'over'

export interface LaneItem {
  readonly lane: string
  readonly stage: Stage
  /** Monotonic: nothing is done with it before. */
  readonly notBeforeMs: number
  /** Wall clock: what is not on the wire by then never will be. */
  readonly expiresAt: number | undefined
}

export interface Decision<Item> {
  /** Their time is over. */
  expired: readonly Item[]
  /** To be taken, as many as go out next: what waits longer can still be withdrawn. */
  take: readonly Item[]
  /** The one to send next; one at a time. */
  send: Item | undefined
  /** In how many milliseconds to decide again, if nothing happens before. */
  againInMs: number | undefined
}

/** Enough that taking, one round trip to a store each, keeps up with sending. */
const TAKEN_AHEAD_MAX = 16

/** Pure. `items` are in the order of acceptance. */
export function decide<Item extends LaneItem>(
  items: Iterable<Item>,
  now: { monotonicMs: number; nowMs: number },
): Decision<Item> {
  const expired: Item[] = []
  const take: Item[] = []
  /** Lanes in which something accepted earlier is not on the wire yet; and those in which it can't go at present. */
  const [behind, held] = [new Set<string>(), new Set<string>()]
  const waits: number[] = []
  let send: Item | undefined
  let ahead = 0
  let isSending = false
  for (const item of items) {
    const { lane, stage, notBeforeMs, expiresAt } = item
    if (stage === 'over') continue
    const waitMs = notBeforeMs - now.monotonicMs
    if (waitMs > 0) waits.push(waitMs)
    // What is being worked on, or is on the wire, is judged when it comes back: the server may have it already.
    const isAtRest = stage === 'waiting' || stage === 'ready' || (stage === 'on_wire' && waitMs <= 0)
    if (expiresAt !== undefined && isAtRest) {
      if (expiresAt <= now.nowMs) {
        expired.push(item)
        continue
      }
      waits.push(expiresAt - now.nowMs)
    }
    if (stage === 'on_wire' && waitMs > 0) continue
    if (stage === 'sending') isSending = true
    if (isAtRest && waitMs > 0) {
      held.add(lane)
      behind.add(lane)
      continue
    }
    // What was taken ahead in a lane that is held now takes nobody's place.
    if ((stage === 'taking' || stage === 'ready') && !held.has(lane)) ahead++
    if (stage === 'waiting' && !held.has(lane) && ahead < TAKEN_AHEAD_MAX) {
      take.push(item)
      ahead++
    } else if ((stage === 'ready' || stage === 'on_wire') && !behind.has(lane)) send ??= item
    behind.add(lane)
  }
  return {
    expired,
    take,
    send: isSending ? undefined : send,
    againInMs: waits.length === 0 ? undefined : Math.min(...waits),
  }
}
