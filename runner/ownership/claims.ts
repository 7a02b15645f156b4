import type { SessionKey } from '#shared/ids.ts'
import type { Owner } from '#shared/session.ts'
import type { RunnerLease } from './lease.ts'

/** Under which unbroken term of the runner's lease which epoch was claimed. */
interface Claim {
  epoch: number
  term: number
}

/**
 * What this runner may call its own: the epochs that it claimed while its lease was good all the time since. Once the lease
 * was lost somebody may have judged this runner dead, and be about to take over on that word; so after it is
 * regained nothing is ours before it is claimed anew, and of two claims of one epoch the store lets one through.
 */
export class Claims {
  readonly #lease: Pick<RunnerLease, 'id' | 'term'>
  readonly #claims = new Map<SessionKey, Claim>()
  /** The epochs that were given back, or are about to be. */
  readonly #givenBack = new Map<SessionKey, number>()
  #underWay = 0

  constructor(lease: Pick<RunnerLease, 'id' | 'term'>) {
    this.#lease = lease
  }

  /** Counts a claim from before it is sent until it is known, and noted, what became of it. */
  async counted<T>(claim: () => Promise<T>): Promise<T> {
    this.#underWay++
    try {
      return await claim()
    } finally {
      this.#underWay--
    }
  }

  /** What may still become ours. */
  get underWay(): number {
    return this.#underWay
  }

  /** `stretch` is what the lease said before the claim was sent. */
  won(key: SessionKey, epoch: number, term: number): void {
    this.#claims.set(key, { epoch, term })
  }

  /** For a release, before it is sent. */
  giveBack(key: SessionKey, epoch: number): void {
    this.#claims.delete(key)
    this.#givenBack.set(key, epoch)
  }

  /** Its life is over. */
  forget(key: SessionKey): void {
    this.#claims.delete(key)
    this.#givenBack.delete(key)
  }

  /** The owner as it stands: what is in our name, and not claimed under the present term, is nobody's. */
  effectiveOwner(key: SessionKey, owner: Owner | undefined): Owner | undefined {
    if (owner?.runnerId !== this.#lease.id || this.#isGood(key, owner)) return owner
    return { epoch: owner.epoch, since: owner.since, nonce: owner.nonce }
  }

  /**
   * It is in our name and not ours: a claim whose answer was lost, or that the lease did not outlive. The others see it owned
   * by a runner that is alive, so one that claims nothing any more has to give it back.
   */
  isLeftOver(key: SessionKey, owner: Owner | undefined): boolean {
    if (owner?.runnerId !== this.#lease.id || this.#isGood(key, owner)) return false
    return this.#givenBack.get(key) !== owner.epoch
  }

  #isGood(key: SessionKey, { epoch }: Owner): boolean {
    const claim = this.#claims.get(key)
    return claim?.epoch === epoch && claim.term === this.#lease.term
  }
}
