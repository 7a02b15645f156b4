import type { SessionState } from '../state/session-state.ts'

/** The state of a session as far as this runner has it: nothing, on its way, rebuilt, settled, or given up. */
export class HeldState {
  #is: 'bare' | 'rehydrating' | 'loaded' | 'settled' | 'dropped' = 'bare'
  #present: SessionState | undefined
  /** Tells one rehydration from the next. */
  #turn = 0
  /** Monotonic: since when the journal is away that the last state broke on. */
  #undurableSinceMs: number | undefined
  #isUnreadable = false

  get is(): 'bare' | 'rehydrating' | 'loaded' | 'settled' | 'dropped' {
    return this.#is
  }

  get present(): SessionState | undefined {
    return this.#present
  }

  /** It could not be rebuilt, and trying again would not help. */
  get isUnreadable(): boolean {
    return this.#isUnreadable
  }

  unreadable(): void {
    this.#isUnreadable = true
  }

  /** What waits for the journal, with the monotonic time since when. */
  waiting(): { what: 'journal'; sinceMs: number }[] {
    const sinceMs = this.#undurableSinceMs ?? this.#present?.journal.undurableSinceMs
    return sinceMs === undefined ? [] : [{ what: 'journal', sinceMs }]
  }

  /** It broke, since the journal is away. */
  brokeOn(sinceMs: number): void {
    this.#undurableSinceMs ??= sinceMs
  }

  /** A rehydration begins. The answer says whether it is still wanted: it may have been dropped meanwhile. */
  begin(): () => boolean {
    this.#is = 'rehydrating'
    const turn = ++this.#turn
    return () => this.#is === 'rehydrating' && this.#turn === turn
  }

  rehydrated(state: SessionState): void {
    this.#is = 'loaded'
    this.#present = state
    this.#undurableSinceMs = undefined
  }

  /** Everything is durable, and nothing is written any more. Without a state there is nothing to settle. */
  settled(): void {
    if (this.#present) this.#is = 'settled'
  }

  /** The next pass rebuilds it. */
  unload(): void {
    this.#is = 'bare'
    this.#present = undefined
  }

  /** It is of no use any more. Answers what it was. */
  drop(): SessionState | undefined {
    const was = this.#present
    this.#is = 'dropped'
    this.#present = undefined
    return was
  }
}
