import type { LifeId, RunnerId, SessionId, TenantId } from './ids.ts'

/** The one word that says where a session is. */
export const PHASES = [
  'stopped', // wanted stopped, and it is
  'pending', // wanted running, no runner has it yet
  'rehydrating', // a runner rebuilds its working copy
  'connecting', // a socket is on its way to `open`
  'connected',
  'backing_off', // waits until `nextAttemptAt`
  'unpaired', // has no credentials; needs a person to open a pairing window
  'pairing', // a QR or code is up until `pairing.expiresAt`
  'logged_out', // unlinked; the credentials are archived
  'conflict', // somebody else uses the credentials; a person resumes it
  'restricted', // 402: a temporary ban, until `until`
  'banned', // 403, 406
  'outdated', // 405: the client version is refused, for the whole fleet
  'failed', // needs a person; `reason` says why
] as const
export type Phase = (typeof PHASES)[number]

/** Phases that pass by no step of ours: a person is needed, or a time or a version has to come. */
export const GRAVE_PHASES: ReadonlySet<Phase> = new Set([
  'logged_out',
  'conflict',
  'restricted',
  'banned',
  'outdated',
  'failed',
])

/** A pairing window that a person opened. `id` tells one window from the next. */
export interface PairingWindow {
  id: string
  method: 'qr' | 'code'
  /** Digits only, with country code; for `code`. */
  phone?: string
  /** Link again although good credentials exist; the superseded device is retired afterwards. */
  replace: boolean
  openedAtMs: number
  expiresAtMs: number
}

/** A proxy as it is stored: only a runner can read its address. */
export interface SealedProxy {
  /** Scheme, host and port, for people. */
  shown: string
  /** The address with its credentials, sealed for the runners (`shared/sealing/proxy.ts`), base64. */
  sealed: string
  /** Tells control, and nobody else, whether the same address is asked for again. */
  mark: string
}

/** What the user wants of a session. Written by control only; `generation` grows by one with every change. */
export interface Want {
  state: 'running' | 'stopped'
  generation: number
  /** A socket that was opened under a generation lower than this is replaced by a new one, and every block is lifted. */
  restart?: number
  /** A block (conflict, failed, restricted …) that was set at a generation lower than this is lifted. */
  resume?: number
  pairing?: PairingWindow
  /**
   * It is being removed. Versions before there were removals wrote this; today the runners' view shows a removal that is to
   * be worked off as such a session.
   */
  deleting?: { purge: boolean }
  reconnect?: { maxAttempts?: number }
  /** By which way it speaks to WhatsApp; absent, the fleet's own. Versions before it was sealed wrote its address. */
  proxy?: SealedProxy | { url: string }
  metadata: Record<string, string>
}

interface LastDisconnect {
  /** The status code of the close, absent when the library gave none. */
  code?: number
  /** A word of the close-reason table. */
  why: string
  at: number
}

/** A device that a session was before it was linked anew. */
export interface SupersededDevice {
  /** The snapshot that keeps its credentials. */
  snapshot: string
  jid?: string
  /** `pending`: it takes itself off the phone once the session is connected again. `still_linked`: only a person can. */
  state: 'pending' | 'retired' | 'still_linked'
  /** For people. */
  why?: string
  /** How often it was tried in vain. */
  tries: number
  /** When it came into this state. */
  at: number
}

/** What of a session can wait for a store, or for WhatsApp. */
export const WAITABLE = [
  'inbox', // messages that came in are not in the feed yet
  'outbox', // messages do not leave, although it is connected
  'journal', // what it learned is not durable, so it is not connected
  'writes', // states of messages, or lines of the audit trail
] as const
export type Waitable = (typeof WAITABLE)[number]

export interface Waiting {
  what: Waitable
  /** Milliseconds since 1970. */
  since: number
}

/** A store that is well answers in a second; what waits for so long needs to be known of. */
export const WAITS_TOO_LONG_MS = 60_000

/** What a runner saw last. Written by the session's owner only, under its epoch. Times are milliseconds since 1970. */
export interface Status {
  phase: Phase
  /** Why it is in this phase, for people; absent where the phase says it all. */
  reason?: string
  /** The generation of the want that this status answers to. */
  observedGeneration: number
  /** The epoch of the owner who wrote this. */
  epoch: number
  /** When it was written; uptime is added up from here. */
  at?: number
  phone?: string
  jid?: string
  deviceId?: number
  pairing?: { windowId: string; qr?: string; code?: string; expiresAt: number }
  /** The last pairing window that has done its work, or was given up: it is never opened again. */
  endedWindowId?: string
  connectedAt?: number
  authenticatedAt?: number
  lastActivityAt?: number
  lastDisconnect?: LastDisconnect
  /** A connection was given up a moment ago, and its login may still arrive behind that of a later one. */
  loginMayBeLate?: true
  /** Failed attempts in a row; 0 once a connection has lasted. */
  attempts: number
  nextAttemptAt?: number
  /** For `restricted`: when the ban ends. */
  until?: number
  snapshot?: { seq: number; at: number; bytes: number }
  /** The head of the journal when this was written. It rides along: by itself it is no reason to write. */
  witness?: Witness
  /**
   * What has waited for longer than `WAITS_TOO_LONG_MS`, in the order of `WAITABLE`. Of a session that holds no connection the
   * inbox stands here at once: by this the next owner knows that there is something to deliver.
   */
  waiting?: readonly Waiting[]
  /** What this session was before, and whether the phone still lists it; oldest first. */
  superseded?: readonly SupersededDevice[]
  uptime: { connectedMs: number; wantedMs: number; connects: number; disconnects: number }
}

/** A data key of a session, wrapped by the key-encryption key; only a runner can open it. */
export interface DataKey {
  id: string
  wrapped: Uint8Array
  /** The version of the key-encryption key that wrapped it. */
  keyVersion: string
  createdAt: number
}

export interface Session {
  tenant: TenantId
  id: SessionId
  /** Absent for a session that was made before there were lives: that is a life too. */
  life?: LifeId
  want: Want
  /** Absent until a runner has looked at the session. */
  status?: Status
  /** Oldest first; the last one is in use. */
  dataKeys: readonly DataKey[]
  createdAt: number
  updatedAt: number
}

/**
 * A place in a session's journal that was seen to be durable: the seq of an entry, and its MAC (`macOf`), which through the
 * chain of the journal stands for everything before it as well.
 */
export interface Witness {
  seq: number
  mac: string
}

/** Who may open a session's socket. A release clears the runner and keeps the epoch; the record goes with its life. */
export interface Owner {
  runnerId?: RunnerId
  epoch: number
  since: number
  /** Tells one's own write from another's when an answer was lost. */
  nonce: string
  /** The head of the journal when the session was last released; every claim keeps it. */
  witness?: Witness
}

/** A runner's proof of life. */
export interface RunnerRecord {
  id: RunnerId
  /** Grows with every renewal: an unchanged beat is an unrenewed lease, whatever the clocks say. */
  beat: number
  /** By the store's clock. */
  renewedAt: number
  leaseForMs: number
  /** It takes no more sessions: it said so itself, or was asked to. */
  draining: boolean
  /** Somebody asked it to drain, and has not taken that back. */
  drainAsked?: true
  capacity: number
  held: number
  version: string
  startedAt: number
}

export const unseenStatus = (epoch: number): Status => ({
  phase: 'pending',
  observedGeneration: 0,
  epoch,
  attempts: 0,
  uptime: { connectedMs: 0, wantedMs: 0, connects: 0, disconnects: 0 },
})
