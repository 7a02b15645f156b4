import type { RunnerId, SessionKey } from '../ids.ts'
import type { Owner, Witness } from '../session.ts'
import type { Watch } from './watch.ts'

/**
 * Who may open a session's socket. The store only compares epochs: whether a predecessor's lease has run out is judged
 * by the caller (`runner/ownership`), who names the epoch that the judgement was about.
 */
export interface OwnerStore {
  /** `undefined` for a session that nobody ever owned. */
  get(key: SessionKey): Promise<Owner | undefined>

  /** Those of several sessions, in their order. */
  getAll(keys: readonly SessionKey[]): Promise<readonly (Owner | undefined)[]>

  /** Every record, in no order, for the full pass. */
  scan(): AsyncIterable<readonly [SessionKey, Owner]>

  /**
   * Makes `runnerId` the owner with `expectEpoch + 1` and keeps the witness, only while the stored epoch is `expectEpoch` (0: no record yet).
   * Durable when it resolves. When an answer is lost the adapter reads back and compares the nonce, so that one's own
   * claim is never taken for another's; repeating with the same nonce is harmless.
   * @throws CodedError `owner_changed`
   */
  claim(ask: {
    key: SessionKey
    runnerId: RunnerId
    expectEpoch: number
    nonce: string
    nowMs: number
  }): Promise<Owner>

  /**
   * Clears the runner, keeps the epoch, and notes the witness in the same write; without one the stored one stays. Durable
   * when it resolves. A repeat is harmless and changes nothing.
   * @throws CodedError `fenced` when the epoch or the runner is another
   */
  release(ask: {
    key: SessionKey
    runnerId: RunnerId
    epoch: number
    nonce: string
    nowMs: number
    witness?: Witness | undefined
  }): Promise<void>

  /** Forgets the record of a session that was deleted. Harmless when there is none. */
  remove(key: SessionKey): Promise<void>

  /** Calls with the key of every session whose owner changed, and with the record where the store tells it along. */
  watch(changed: (key: SessionKey, owner?: Owner) => void): Watch
}
