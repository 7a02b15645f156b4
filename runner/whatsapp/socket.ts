import type { Inbox } from '../app/inbox.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { OutboxRequest } from '#shared/sealing/outbox-bodies.ts'
import type { Want } from '#shared/session.ts'
import type { Reached } from '#shared/store/outbox-message.ts'
import type { RecordMap } from '../state/record-map.ts'
import type { SessionState } from '../state/session-state.ts'
import type { Dropped } from './dropped.ts'
import type { Resolved } from './number-lookup.ts'
import type { ProxyFailure } from './proxy-failure.ts'

/**
 * What a runner needs of one connection to WhatsApp. One value is one connection: it opens once, closes once, and is
 * never opened again.
 *
 * What Baileys promises, and the runner relies on (docs/facts/baileys.md §1, measured on 7.0.0-rc14): the close event
 * comes exactly once, but not at all when the WebSocket upgrade is answered with another status than 101; `end()` does
 * not stop work in progress; a message is receipted after its ratchet step was stored and before the application is told.
 */
export interface WhatsAppSocket {
  /**
   * Asks for a code to type into the phone, and waits until WhatsApp has taken it. Only before pairing, after the first QR;
   * again for another code. Digits only. Answers nothing where WhatsApp refused, or the connection ended: it closes, with why.
   */
  requestPairingCode(phone: string): Promise<string | undefined>
  /**
   * Which account an address is. WhatsApp is asked once about a number that is new to the session.
   * @throws when it gives no answer
   */
  resolve(to: string): Promise<Resolved>
  /** The bytes of a WhatsApp message that says what was asked for. Nothing is sent, and nobody is asked. */
  prepare(message: { id: string; to: string; request: OutboxRequest }): Promise<Uint8Array>
  /**
   * Encrypts what was prepared for the account that `to` is, and writes it; resolves when the bytes are on the wire, which is not yet an acknowledgement.
   * `again` says that it was tried before under this id, and that nobody knows whether the server got it.
   */
  send(message: { id: string; to: string; prepared: Uint8Array; again?: boolean }): Promise<void>
  /** Unlinks this device, and says whether the server confirmed it. The socket closes afterwards. */
  logout(): Promise<'confirmed' | 'unconfirmed'>
  /**
   * Ends in order: no message is left between "ratchet stored" and "receipt sent", buffered events are told, the state is
   * closed. Resolves when the socket is gone; bounded by a few seconds.
   */
  handOver(): Promise<void>
  /** Ends at once without waiting for anything; for a lost lease and for watchdogs. `why` is for the log alone. */
  drop(by: 'us' | 'watchdog', why: string): void
  /** What is true of the connection now, for the watchdogs. */
  health(): SocketHealth
  /** Whether the receive and the send path still move: resolves false when one is stuck for `withinMs`. */
  probe(withinMs: number): Promise<boolean>
}

export interface SocketHealth {
  openedAtMs: number | undefined
  /** Monotonic time of the last decrypted frame. */
  lastFrameMs: number
  loggedInAtMs: number | undefined
  /** Monotonic time since when messages wait and none gets as far as decryption; absent while none waits. */
  messagesIdleSinceMs: number | undefined
  /** Monotonic time of the last decryption, if that was a message of the protocol's own, which is worked on after it. */
  peerMessageSinceMs: number | undefined
}

/** Why a connection ended, as far as the library tells. */
interface CloseFacts {
  /** The status code of the close. */
  status?: number | undefined
  /** The HTTP status that the upgrade was answered with, where it was not 101. */
  http?: number | undefined
  message: string
  /** It did not come about, since its proxy did not let it. */
  proxy?: ProxyFailure | undefined
  /** `replaced`, `device_removed` … of a `<conflict>`. */
  conflict?: string | undefined
  /** Why nobody can be linked over it, in words of this product's own. */
  linking?: 'passkey_required' | 'code_refused' | undefined
  /** Why there was no connection in the first place: the system's own code, `ENOTFOUND`, `CERT_HAS_EXPIRED` … */
  network?: string | undefined
  /** Attributes of a `<failure>`: `reason`, `code`, `expire`, `logout_message_header` … */
  attributes?: Readonly<Record<string, string>> | undefined
}

/** Nobody asked for it: a watchdog gave up a connection that did not move, or the server or the way to it ended it. */
export type UnaskedClose = CloseFacts & { by: 'watchdog' | 'server' }

/** A connection that ended, and who ended it. What we asked for means nothing; of the others the close-reason table decides. */
export type CloseReport = UnaskedClose | (CloseFacts & { by: 'us' })

/** What a connection tells. Called in order, not before `OpenSocket` has answered, and never after `closed`. */
export interface SocketEvents {
  /** A QR is up until the next call or the close. */
  qr(text: string, expiresInMs: number): void
  /** Paired: the credentials are durable before the server learns of it; the server closes with 515 next. */
  paired(): void
  open(me: { jid: string; lid?: string | undefined }): void
  /** The server took the message, or refused it with a code. */
  acknowledged(id: string, error: number | undefined): void
  /** A device has it, or its person read or played it: counts for what went to whom `isFor` says yes to. */
  receipt(ids: readonly string[], kind: Reached, isFor: (to: string) => boolean): void
  /** A decrypted message is durable in the inbox. */
  received(): void
  /** WhatsApp asked for another secret, after a scan: the QR that is up carries it, and is to be scanned again. */
  secretChanged(): void
  /** WhatsApp wants another code than the one that is shown. */
  codeOutdated(): void
  closed(report: CloseReport): void
}

export interface OpenSocketAsk {
  state: SessionState
  inbox: Inbox
  /** By which way; without it, the fleet's. */
  proxy: Want['proxy']
  events: SocketEvents
  /** The version of the web client that it says it is; without it the one that is built in. */
  version?: string | undefined
  /**
   * Answers what was prepared of a message that was sent, also long ago: peers ask for it again when they can't read it.
   * `undefined` for one that went to somebody else than `isFor` says yes to, as for one that never was.
   */
  sentMessage(id: string, isFor: (to: string) => boolean): Promise<Uint8Array | undefined>
  /** Something of a stranger was not taken. */
  dropped: Dropped
  /**
   * False once the lease has run out, noticed or not: from then on not a byte may leave. A process that slept through its lease
   * may find bytes to answer before it finds its timers due, and a login would replace the connection of the new owner.
   */
  mayWrite: () => boolean
}

/** Starts a connection; answers at once. */
export type OpenSocket = (ask: OpenSocketAsk) => WhatsAppSocket

/** How the last connection of a superseded device ended. */
export type UnlinkOutcome =
  | { ended: 'confirmed' } // the server confirmed that it is unlinked
  | { ended: 'refused'; code: number | undefined } // the server answered that it won't unlink it
  | { ended: 'closed'; asked: boolean; report: UnaskedClose } // before there was an answer
  | { ended: 'no_answer' }

export interface UnlinkAsk {
  key: SessionKey
  /** By which way, as for the session itself. */
  proxy: Want['proxy']
  /** Its archived state. Changes stay in here, and go with it. */
  records: RecordMap
  /** The version of the web client that it says it is; without it the one that is built in. */
  version?: string | undefined
  /** False once not a byte may leave any more. */
  mayWrite: () => boolean
  /** Ends it at once, whatever has been said by then; what is answered means nothing. */
  signal: AbortSignal
}

/** Connects once with archived credentials, takes that device off its phone, and ends. Bounded by less than a minute. */
export type UnlinkDevice = (ask: UnlinkAsk) => Promise<UnlinkOutcome>
