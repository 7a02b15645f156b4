import type { Clock } from '#shared/clock.ts'
import { FairQueue } from '#shared/fair-queue.ts'
import { splitKey, type SessionKey } from '#shared/ids.ts'
import { readInChild, type Read } from './child.ts'
import type { Ask } from './reader.ts'

/** Whose turn it is comes with its next pass; one that was lost meanwhile does not come. */
const COMES_WITHIN_MS = 5_000

/**
 * Where a tenant's bytes come in: read by a child process, one at a time in this process, tenants in turn. Whoever has to wait
 * is told when its turn has come; a pass never waits, since passes are few and everybody's.
 */
export class Gate {
  readonly #clock: Clock
  readonly #wake: (key: SessionKey) => void
  readonly #waiting = new FairQueue<SessionKey>()
  readonly #waits = new Set<SessionKey>()
  #turn: { key: SessionKey; cancel: () => void } | undefined
  #work: AbortController | undefined
  #isShut = false

  constructor(clock: Clock, wake: (key: SessionKey) => void) {
    this.#clock = clock
    this.#wake = wake
  }

  /** True: it is this session's turn, until `leave`. False: it waits, and is woken. */
  enter(key: SessionKey): boolean {
    if (!this.#isShut && (this.#turn === undefined || this.#turn.key === key)) {
      this.#turn?.cancel()
      this.#turn = { key, cancel: () => undefined }
      return true
    }
    this.#waits.add(key)
    this.#waiting.push(splitKey(key).tenant, key)
    return false
  }

  waits(key: SessionKey): boolean {
    return this.#waits.has(key)
  }

  /** Reads for the session whose turn it is. @see readInChild */
  async read(bytes: AsyncIterable<Uint8Array>, ask: Omit<Ask, 'bytesMax' | 'nowMs'>): Promise<Read> {
    const work = new AbortController()
    this.#work = work
    if (this.#isShut) work.abort()
    try {
      return await readInChild(
        bytes,
        { ...ask, nowMs: this.#clock.nowMs() },
        { clock: this.#clock, signal: work.signal },
      )
    } finally {
      this.#work = undefined
    }
  }

  /** Its turn is over, or it is not ours any more. Harmless for one that had none. */
  leave(key: SessionKey): void {
    this.#waits.delete(key)
    this.#waiting.drop(splitKey(key).tenant, key)
    if (this.#turn?.key !== key) return
    this.#work?.abort()
    this.#turn.cancel()
    this.#turn = undefined
    this.#next()
  }

  /** Ends what is being read (`closed`), for good or, with `isShut` false, once. */
  interrupt(isShut: boolean): void {
    this.#isShut = isShut
    this.#work?.abort()
    if (!isShut && this.#turn === undefined) this.#next()
  }

  #next(): void {
    const key = this.#isShut ? undefined : this.#waiting.next()
    if (key === undefined) return
    this.#waits.delete(key)
    this.#turn = { key, cancel: this.#clock.after(COMES_WITHIN_MS, () => this.leave(key)) }
    this.#wake(key)
  }
}
