import { CodedError, hasCode, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Owner, PairingWindow, Session, Status, SupersededDevice, Waitable } from '#shared/session.ts'
import type { UnlinkResult } from '#shared/store/removal-store.ts'
import { backoffMs, BACKOFF } from '../pacing/backoff.ts'
import { judgeClose, type Verdict } from './disconnect.ts'
import type { PreparedState } from '../state/prepared.ts'
import { SessionState } from '../state/session-state.ts'
import { isPaired } from '../whatsapp/auth-state.ts'
import { Inbox } from '../app/inbox.ts'
import type { CloseReport, SocketEvents, WhatsAppSocket } from '../whatsapp/socket.ts'
import type { Block } from './block.ts'
import { InboxDeliverer } from '../app/inbox-deliverer.ts'
import { shortName } from '../app/storable-item.ts'
import type { LiveSessionDeps } from './live-session-deps.ts'
import { OutboxSender } from './outbox-sender.ts'
import { supersededBy, withDevice } from './superseded.ts'

/**
 * One session while this runner owns it: its state, its connection, and what it saw. Events of the connection are only
 * noted here; a pass of the loop acts on them.
 */
export class LiveSession {
  readonly key: SessionKey
  readonly #deps: LiveSessionDeps
  state: SessionState | undefined
  socket: WhatsAppSocket | undefined
  socketIs: 'none' | 'connecting' | 'open' = 'none'
  socketGeneration = 0
  socketPaired = false
  /** The pairing window that the present connection was opened for. */
  socketWindowId: string | undefined
  /** Monotonic time at which the present connection was begun. */
  connectingSinceMs = 0
  connectedSinceMs: number | undefined
  paired = false
  block: Block | undefined
  retryAtMs = 0
  attempts = 0
  /** Closes in a row for one and the same reason: what ends after a few tries is counted by itself. */
  #triesFor: { why: string; count: number } | undefined
  /** Its predecessor was connected until a moment ago: it need not wait for its turn to connect. */
  handedOver = false
  shown: Status['pairing']
  /** The pairing window that is over, so that it is not opened twice. */
  endedWindowId: string | undefined
  pairingNote: string | undefined
  lastDisconnect: Status['lastDisconnect']
  /** The verdict on the last close, until a pass has dealt with it. */
  verdict: Verdict | undefined
  me: { jid: string; lid?: string | undefined } | undefined
  authenticatedAt: number | undefined
  lastActivityAt: number | undefined
  /** What this session was before; `undefined` until its state was rebuilt. */
  superseded: readonly SupersededDevice[] | undefined
  /** Monotonic: no superseded device is tried before. */
  unlinkAtMs = 0
  /** The session is being removed: what became of its device, once that is known. */
  unlinkResult: UnlinkResult | undefined
  /** Ends the unlinking of a device that is under way. */
  stopUnlinking: AbortController | undefined
  connects = 0
  disconnects = 0
  #outbox: OutboxSender | undefined
  #deliverer: InboxDeliverer | undefined
  #inbox: Inbox | undefined
  #cancelStable: (() => void) | undefined
  /** Monotonic: since when the journal is away that the last state broke on. */
  #undurableSinceMs: number | undefined
  /** Its state could not be rebuilt, and trying again would not help. */
  isUnreadable = false

  constructor(deps: LiveSessionDeps, key: SessionKey) {
    this.#deps = deps
    this.key = key
  }

  /** Rebuilds the state as its owner. @throws CodedError what `SessionState.open` throws */
  async rehydrate(
    session: Session,
    owner: Pick<Owner, 'epoch' | 'witness'>,
    prepared?: PreparedState,
  ): Promise<SessionState> {
    const { clock, log, stores, background } = this.#deps
    const state = await SessionState.open(this.#deps.state, session, this.key, owner, prepared)
    this.state = state
    this.paired = isPaired(state.storedCreds())
    this.superseded = supersededBy(state.rebuilt.snapshots, session.status?.superseded ?? [])
    state.onBroken((error) => {
      log.warn({ error, sessionId: this.key }, 'state broke; the socket is dropped')
      if (hasCode(error, 'store_unavailable', 'overloaded', 'store_refused'))
        this.#undurableSinceMs ??= state.journal.undurableSinceMs ?? clock.monotonicMs()
      this.drop(`state: ${error instanceof CodedError ? error.code : 'error'}`)
      this.#deps.wake(this.key)
    })
    this.#undurableSinceMs = undefined
    this.#useInbox(state)
    this.#outbox ??= new OutboxSender({
      key: this.key,
      store: stores.outbox,
      clock,
      log,
      background: (work) => background(this.key, work),
      setAside: (id, why) => this.#setAside('outbox', why, { message: id }),
      dropped: this.#deps.dropped,
    })
    return state
  }

  #useInbox(state: SessionState): void {
    const { clock, log, stores } = this.#deps
    this.#inbox = new Inbox(state)
    this.#deliverer = new InboxDeliverer({
      key: this.key,
      inbox: this.#inbox,
      creds: () => state.storedCreds(),
      dropped: this.#deps.dropped,
      store: stores.feed,
      clock,
      log,
      delivered: () => {
        this.lastActivityAt = clock.nowMs()
      },
      emptied: () => {
        // What holds no connection is held for this alone.
        if (this.socketIs !== 'open') this.#deps.wake(this.key)
      },
      setAside: ({ id, from }, why) =>
        this.#setAside('feed', why, { message: shortName(id), from: shortName(from) }),
    })
    this.#deliverer.poke()
  }

  /** What no store can keep is told of where people look for what happened. */
  #setAside(of: 'feed' | 'outbox', why: string, detail: Record<string, string>): void {
    const epoch = this.state?.epoch ?? 0
    this.#deps.event(this.key, { kind: 'set_aside', to: of, why, epoch, detail })
  }

  /** Messages that came in are not in the feed yet. */
  get isDelivering(): boolean {
    return this.#deliverer?.waitingSinceMs !== undefined
  }

  /** What of it waits, each with the monotonic time since when. */
  waiting(): { what: Waitable; sinceMs: number }[] {
    const since = {
      inbox: this.#deliverer?.waitingSinceMs,
      outbox: this.#outbox?.waitingSinceMs,
      journal: this.#undurableSinceMs ?? this.state?.journal.undurableSinceMs,
    }
    return (['inbox', 'outbox', 'journal'] as const).flatMap((what) =>
      since[what] === undefined ? [] : [{ what, sinceMs: since[what] }],
    )
  }

  /** Begins a connection; what becomes of it is told by events. */
  connect(generation: number, pairing?: PairingWindow): void {
    const { state } = this
    const inbox = this.#inbox
    if (!state || !inbox) throw new Error('a session is rehydrated before it connects')
    this.socketIs = 'connecting'
    state.atRest = false
    this.socketGeneration = generation
    this.socketPaired = this.paired
    this.socketWindowId = pairing?.id
    this.shown = undefined
    this.connectingSinceMs = this.#deps.clock.monotonicMs()
    if (!this.paired) state.journal.credsChanged()
    this.socket = this.#deps.openSocket({
      state,
      inbox,
      events: this.#events(pairing),
      sentText: async (id, isFor) => this.#outbox?.sentText(id, isFor),
      dropped: this.#deps.dropped,
      mayWrite: this.#deps.mayWrite,
    })
  }

  #events(pairing: PairingWindow | undefined): SocketEvents {
    const { clock, wake } = this.#deps
    return {
      qr: (text, expiresInMs) => {
        if (!pairing) return
        const expiresAt = Math.min(clock.nowMs() + expiresInMs, pairing.expiresAtMs)
        this.#deps.background(this.key, () => this.#show(pairing, text, expiresAt))
      },
      paired: () => {
        this.paired = true
        this.endedWindowId = pairing?.id
        this.shown = undefined
        this.authenticatedAt = clock.nowMs()
        wake(this.key)
      },
      open: (me) => this.#isOpen(me),
      acknowledged: (id, error) => {
        this.lastActivityAt = clock.nowMs()
        this.#outbox?.acknowledged(id, error)
      },
      receipt: (ids, kind, isFor) => this.#outbox?.receipt(ids, kind, isFor),
      received: () => this.#deliverer?.poke(),
      pairingRefresh: () => {
        this.pairingNote = 'WhatsApp asked for a new code; scan the one that is shown now'
        this.socket?.drop('watchdog', 'the secret that was shown no longer holds')
      },
      closed: (report) => this.#isClosed(report),
    }
  }

  /** Nothing is shown to a person before the identity behind it is durable. */
  async #show(pairing: PairingWindow, qr: string, expiresAt: number): Promise<void> {
    const { socket, state } = this
    await state?.journal.durable()
    if (this.socket !== socket || !socket) return
    const windowId = pairing.id
    if (pairing.method === 'qr') {
      this.shown = { windowId, qr, expiresAt }
    } else if (!this.shown && pairing.phone) {
      const code = await socket.requestPairingCode(pairing.phone)
      // A code holds as long as its socket, which ends when the QR references run out or the window does.
      this.shown = { windowId, code, expiresAt: pairing.expiresAtMs }
    }
    this.#deps.wake(this.key)
  }

  #isOpen(me: { jid: string; lid?: string | undefined }): void {
    const { clock, wake } = this.#deps
    this.socketIs = 'open'
    this.me = me
    this.authenticatedAt ??= clock.nowMs()
    this.connectedSinceMs = clock.monotonicMs()
    this.connects++
    this.retryAtMs = 0
    this.#triesFor = undefined
    if (this.attempts > 0) this.#cancelStable = clock.after(BACKOFF.stableAfterMs, () => this.#isStable())
    this.shown = undefined
    this.pairingNote = undefined
    if (this.socket) this.#outbox?.opened(this.socket)
    wake(this.key)
  }

  /** The connection has lasted: what failed before it is forgiven. */
  #isStable(): void {
    this.attempts = 0
    this.#deps.wake(this.key)
  }

  #isClosed(report: CloseReport): void {
    const { clock, wake, log } = this.#deps
    if (this.connectedSinceMs !== undefined) this.disconnects++
    const verdict = report.by === 'us' ? undefined : judgeClose(report)
    this.#noSocket(verdict === undefined || verdict.loginMayBeLate === true)
    if (verdict) {
      this.verdict = verdict
      const code = report.status ?? report.http
      this.lastDisconnect = { ...(code === undefined ? {} : { code }), why: verdict.why, at: clock.nowMs() }
      if (verdict.why === 'unknown')
        log.warn({ sessionId: this.key, code, raw: report.message }, 'close of an unknown kind')
    }
    wake(this.key)
  }

  #noSocket(isGivenUp: boolean): void {
    if (isGivenUp && this.socketIs === 'connecting' && this.socketPaired)
      this.#deps.lateLogins.note(this.key, this.#deps.clock.monotonicMs())
    this.#cancelStable?.()
    this.socket = undefined
    this.socketIs = 'none'
    this.connectedSinceMs = undefined
    void this.#outbox?.closed()
  }

  /** Its device was put aside and is still linked: it takes itself off once the session is connected again. */
  supersede(snapshot: string, jid: string | undefined): void {
    const at = this.#deps.clock.nowMs()
    const device = {
      snapshot,
      ...(jid === undefined ? {} : { jid }),
      state: 'pending',
      tries: 0,
      at,
    } as const
    this.superseded = withDevice(this.superseded ?? [], device)
  }

  /** Counts a failed attempt and says when to try again. Answers how often it failed in a row for this reason. */
  backOff(why: string): number {
    this.attempts++
    const count = this.#triesFor?.why === why ? this.#triesFor.count + 1 : 1
    this.#triesFor = { why, count }
    this.retryAtMs = this.#deps.clock.monotonicMs() + backoffMs(this.attempts, this.#deps.dice())
    return count
  }

  /** Something new may be in the outbox. */
  pokeOutbox(): void {
    this.#outbox?.poke()
  }

  /** Ends the connection in order, everything that was received told. Resolves when the socket is gone. */
  async closeSocket(): Promise<void> {
    // What comes next may be a restore, after which the device that is being unlinked is the live one.
    this.stopUnlinking?.abort()
    await this.#outbox?.closed()
    await this.socket?.handOver()
    if (this.state) this.state.atRest = true
    this.shown = undefined
  }

  /** Ends at once; the state is of no use any more. Nothing is written. */
  drop(why: string): void {
    this.stopUnlinking?.abort()
    this.#deliverer?.abandon()
    this.state?.interrupt()
    this.state?.journal.abandon(new CodedError('lease_lost', `drop session: ${why}`))
    this.state = undefined
    this.#inbox = undefined
    const { socket } = this
    this.#noSocket(true)
    this.shown = undefined
    socket?.drop('us', why)
  }

  /** Closes in order and makes everything durable; afterwards another may own the session. */
  async settle(): Promise<void> {
    await this.closeSocket()
    await this.#deliverer?.close()
    const { state } = this
    state?.interrupt()
    if (!state || state.broken) return
    state.journal.close()
    await state.journal.flush().catch((error: unknown) => {
      this.#deps.log.warn({ error: toError(error), sessionId: this.key }, 'the last entries were not written')
    })
  }

  /** Forgets the state; a next pass rehydrates. */
  unload(): void {
    this.state = undefined
    this.#inbox = undefined
    this.#deliverer = undefined
  }

  /** Another identity is in the place of the one before (a restore, a reset): look at it anew. The inbox goes on. */
  restarted(): void {
    if (this.state) this.paired = isPaired(this.state.storedCreds())
  }
}
