import type { SessionKey } from '#shared/ids.ts'
import type { Owner, PairingWindow, Session, Status, Waitable, Want } from '#shared/session.ts'
import type { WaitingMessage } from '#shared/store/outbox-message.ts'
import type { UnlinkResult } from '#shared/store/removal-store.ts'
import type { PreparedState } from '../state/prepared.ts'
import type { SessionState } from '../state/session-state.ts'
import type { Block } from './block.ts'
import type { ConnectionView } from './connection.ts'
import { closeConnection, drop, settle } from './ending.ts'
import type { IdentityView } from './identity.ts'
import type { PendingVerdict } from './last-close.ts'
import type { LiveSessionDeps } from './live-session-deps.ts'
import type { PairingView } from './pairing.ts'
import type { RetryView } from './retry.ts'
import { SessionParts, type Inherited } from './session-parts.ts'
import type { SessionView } from './session-view.ts'
import { rehydrateSession } from './rehydration.ts'
import { socketEvents } from './socket-events.ts'
import type { Stage } from './stages.ts'
import type { SupersededDevices } from './superseded-devices.ts'

/**
 * One session while this runner owns it: its state, its connection, and what it saw. Where it is and what it may do is the
 * table of `stages.ts`; every method here is a move of it, or leaves the stage alone. Events of the connection are only
 * noted (`socket-events.ts`); a pass of the loop acts on them. What makes no sense throws.
 */
export class LiveSession implements SessionView {
  readonly key: SessionKey
  readonly identity: IdentityView
  readonly pairing: PairingView
  readonly retry: RetryView
  readonly superseded: SupersededDevices
  readonly #parts: SessionParts
  #unlinkResult: UnlinkResult | undefined

  constructor(deps: LiveSessionDeps, key: SessionKey, inherited: Inherited = {}) {
    this.#parts = new SessionParts(deps, key, inherited)
    this.key = key
    const { identity, pairing, retry, superseded } = this.#parts
    this.identity = identity
    this.pairing = pairing
    this.retry = retry
    this.superseded = superseded
  }

  get stage(): Stage {
    return this.#parts.stage
  }

  get state(): SessionState | undefined {
    return this.#parts.held.present
  }

  get connection(): ConnectionView {
    return this.#parts.connection.view
  }

  get lastDisconnect(): Status['lastDisconnect'] {
    return this.#parts.lastClose.disconnect
  }

  get closeReason(): string | undefined {
    return this.#parts.lastClose.reason
  }

  get proxy(): Want['proxy'] {
    return this.#parts.proxy
  }

  get lastActivityAt(): number | undefined {
    return this.#parts.traffic.lastActivityAt
  }

  /** What the last close means, until a pass has dealt with it. */
  get pendingVerdict(): PendingVerdict | undefined {
    return this.#parts.lastClose.pending
  }

  /** Its predecessor was connected until a moment ago, and this one has not begun to connect. */
  get handedOver(): boolean {
    return this.#parts.connection.isHandedOver
  }

  /** Messages that came in are not in the feed yet. */
  get isDelivering(): boolean {
    return this.#parts.traffic.isDelivering
  }

  /** Its state could not be rebuilt, and trying again would not help. */
  get isUnreadable(): boolean {
    return this.#parts.held.isUnreadable
  }

  /** What of it waits, each with the monotonic time since when. */
  waiting(): { what: Waitable; sinceMs: number }[] {
    const { traffic, held } = this.#parts
    return [...traffic.waiting(), ...held.waiting()]
  }

  /** The session is being removed: what became of its device, once that is known. */
  get unlinkResult(): UnlinkResult | undefined {
    return this.#unlinkResult
  }

  /**
   * Rebuilds the state as its owner. Answers nothing when the session was dropped meanwhile.
   * @throws CodedError what `SessionState.open` throws
   */
  rehydrate(
    session: Session,
    owner: Pick<Owner, 'epoch' | 'witness'>,
    prepared?: PreparedState,
  ): Promise<SessionState | undefined> {
    return rehydrateSession(this.#parts, session, owner, prepared)
  }

  /** Its connections go by this proxy, from the next one on; without one, by that of the fleet. */
  goBy(proxy: Want['proxy']): void {
    this.#parts.proxy = proxy
  }

  /** Begins a connection; what becomes of it is told by events. */
  connect(generation: number, pairing?: PairingWindow): void {
    const { held, identity, retry, traffic, connection, deps, proxy } = this.#parts
    if (this.stage === 'blocked' && retry.hasPastBlock)
      this.#parts.move('block_over', () => retry.blockOver())
    this.#parts.move('connect', () => {
      const state = held.present
      const { inbox, outbox } = traffic
      if (!state || !inbox) throw new Error('a session is rehydrated before it connects')
      const asPaired = identity.paired
      const begun = { generation, windowId: pairing?.id, asPaired, begunMs: deps.clock.monotonicMs() }
      state.atRest = false
      if (!asPaired) state.journal.credsChanged()
      connection.begin(begun, (isPresent) =>
        deps.openSocket({
          state,
          inbox,
          proxy,
          events: socketEvents(this.#parts, pairing, isPresent),
          version: deps.clientVersion(this.key),
          sentMessage: (id, isFor) => outbox.sentMessage(id, isFor),
          dropped: deps.dropped,
          mayWrite: deps.mayWrite,
        }),
      )
    })
  }

  /** A watchdog gives the connection up. Harmless where there is none any more. */
  giveUpConnection(why: string): void {
    this.#parts.connection.socket?.drop('watchdog', why)
  }

  /** Unlinks the device, and says whether WhatsApp confirmed it; it can't be asked but through an open connection. */
  async logout(): Promise<'confirmed' | 'unconfirmed' | 'not_connected'> {
    const { view, socket } = this.#parts.connection
    return view.is === 'open' && socket ? socket.logout() : 'not_connected'
  }

  /** Something new may be in the outbox; the message itself, where it is known. */
  pokeOutbox(message?: WaitingMessage): void {
    this.#parts.traffic.outbox.poke(message)
  }

  /** Ends the connection in order, everything that was received told. Resolves when there is none; harmless without one. */
  closeSocket(): Promise<void> {
    return closeConnection(this.#parts)
  }

  /** Ends at once; the state is of no use any more. Nothing is written. */
  drop(why: string): void {
    drop(this.#parts, why)
  }

  /** Closes in order and makes everything durable; afterwards another may own the session. */
  settle(): Promise<void> {
    return settle(this.#parts)
  }

  /** Forgets the state. */
  unload(): void {
    this.#parts.move('unload', () => {
      this.#parts.held.unload()
      this.#parts.traffic.forget()
    })
  }

  /** Another identity is in the place of the one before (a restore, a reset): looks at it anew. The inbox goes on. */
  exchanged(): void {
    const { held, identity } = this.#parts
    this.#parts.move('exchanged', () => identity.judge(held.present?.storedCreds()))
  }

  /** After the state was exchanged for good: no block, no count of failures, no verdict on the old connection. */
  beginAfresh(): void {
    const { retry, lastClose } = this.#parts
    this.#parts.move('begin_afresh', () => {
      lastClose.judged()
      retry.beginAfresh()
    })
  }

  /** Its credentials were taken out of use, and are kept; `linked` where the device still stands in the phone's list. */
  archived(backup: { snapshot: string; jid: string | undefined; linked: boolean }): void {
    const { identity, superseded, deps } = this.#parts
    this.#parts.move('archived', () => identity.archived())
    if (backup.linked) superseded.add(backup.snapshot, backup.jid, deps.clock.nowMs())
  }

  /** The next to be linked is somebody else. */
  forgetIdentity(): void {
    this.#parts.identity.forget()
  }

  /** Its credentials come from elsewhere, where they were linked. */
  imported(): void {
    this.#parts.identity.wasLinked(this.#parts.deps.clock.nowMs())
  }

  /** The last close is dealt with; `why` where the word of the table was not the right one. Harmless without one. */
  judged(why?: string): void {
    this.#parts.move('judged', () => this.#parts.lastClose.judged(why))
  }

  /** Counts a failed attempt and says when to try again. Answers how often it failed in a row for this reason. */
  backOff(why: string): number {
    let count = 0
    this.#parts.move('back_off', () => {
      count = this.#parts.retry.failed(why)
    })
    return count
  }

  /** Not before this monotonic time, for a reason that is no failed attempt. */
  waitUntil(atMs: number): void {
    this.#parts.retry.waitUntil(atMs)
  }

  /** A person asked for another try: every wait and every count ends. */
  startOver(): void {
    this.#parts.retry.startOver()
  }

  /** Its state can't be rebuilt, whoever tries again: it is blocked until a person has looked. */
  unreadable(block: Block): void {
    this.#parts.held.unreadable()
    this.blockBy(block)
  }

  /** Keeps it from connecting. */
  blockBy(block: Block): void {
    this.#parts.move('block', () => this.#parts.retry.blockedBy(block))
  }

  /** The pairing window is over, for the reason that a person is told. */
  endPairing(windowId: string | undefined, note: string): void {
    this.#parts.pairing.ended(windowId, note)
  }

  /** For a removal: nobody has to be asked about its devices any more. */
  isUnlinked(unlinkResult: UnlinkResult): void {
    this.#unlinkResult = unlinkResult
  }
}
