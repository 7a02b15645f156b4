import type { KeyPair } from './curve.ts'
import type { Faults } from './faults.ts'
import type { Ledger } from './ledger.ts'
import type { Queue } from './queue.ts'
import type { Stanza } from './stanza.ts'

/** A one-time key as others may fetch it. */
export interface PreKey {
  readonly id: number
  readonly value: Buffer
}

export interface SignedPreKey extends PreKey {
  readonly signature: Buffer
}

/** What the server keeps of a device's public keys, so that others can start a session with it. */
export interface KeyShelf {
  readonly registrationId: number
  readonly identity: Buffer
  signedPreKey: SignedPreKey
  /** One-time keys by id; each is handed out once. */
  readonly preKeys: Map<number, Buffer>
}

/** An open, logged-in or registering connection, as the rest of the server sees it. */
export interface Line {
  readonly id: number
  device: Device | undefined
  /** Set while the connection waits to be linked; `undefined` once it belongs to a device. */
  registration: Registration | undefined
  /** True once the client said `active`: from then on its queue is written to it at once. */
  active: boolean
  readonly closed: boolean
  send(node: Stanza): void
  /** Writes bytes that no transport key sealed. */
  corrupt(): void
  /** Ends the WebSocket politely, after what was sent. */
  close(): void
  /** Resets the TCP connection. */
  cut(): void
  /** Stops reading from TCP, so that nothing at all is answered, not even a WebSocket close. */
  freeze(): void
  thaw(): void
}

/** A client that shows a QR or a pairing code and waits for a phone. */
export interface Registration {
  readonly noiseKey: Buffer
  readonly keys: Omit<KeyShelf, 'preKeys'>
  readonly platform: string
  readonly refs: Map<string, { readonly until: number }>
  linkCode?: LinkCode
  /** The server asked for another secret than this one, which stood in the QR; until that is shown nobody is linked. */
  refresh?: { readonly id: string; readonly not: string }
  /** Ids of notifications that the client acknowledged. */
  readonly acknowledged: Set<string>
  /** Resolved with the new device when the client has countersigned; rejected when its connection ends first. */
  linking?: { device: Device; details: Buffer; done: (error?: Error) => void }
}

/** Where a pairing by code stands; `wrappedEphemeral` is what the companion sent with its first step. */
interface LinkCode {
  readonly phone: string
  readonly ref: Buffer
  readonly wrappedEphemeral: Buffer
  /** The phone's second step, set when the code was typed. */
  primary?: {
    readonly identity: KeyPair
    readonly ephemeral: KeyPair
    readonly companionEphemeral: Buffer
    /** Takes the secret that both sides derived, or why there is none. */
    readonly done: (result: Buffer | Error) => void
  }
}

/** The part of a simulated device that the server needs; its Signal state is its own business. */
export interface Simulated {
  receive(node: Stanza): void
  /** Its public keys, made when first asked for. */
  shelf(): KeyShelf
  /** A fresh one-time key: a simulated device never runs out. */
  newPreKey(): PreKey
}

export interface Device {
  readonly account: Account
  /** 0 is the phone. */
  readonly id: number
  readonly keyIndex: number
  readonly createdAt: number
  lastSeen: number
  readonly platform: string
  /** Absent for simulated devices. */
  readonly noiseKey: Buffer | undefined
  readonly keys: KeyShelf | undefined
  simulated: Simulated | undefined
  readonly queue: Queue
  line: Line | undefined
  /** Message ids it sent, with the devices that got them: what makes a second copy a duplicate. */
  readonly sent: Map<string, SentRecord>
  /** True after a low-count notification, until keys are uploaded again. */
  askedForKeys: boolean
  /** True once the phone shared what a new companion gets. */
  welcomed: boolean
  readonly ledger: Ledger
}

export interface SentRecord {
  readonly to: string
  readonly got: Set<Device>
  /** Devices that asked for it again; each may get it once more. */
  readonly wanted: Set<Device>
}

export interface Account {
  readonly phone: string
  readonly lid: string
  readonly name: string
  readonly identity: KeyPair
  readonly devices: Map<number, Device>
  nextDevice: number
  /** The most companions that were ever linked at the same time. */
  companionsMax: number
  /** Accounts that asked for this one's devices and are told when they change. */
  readonly watchers: Set<Account>
}

export interface Group {
  readonly id: string
  readonly subject: string
  readonly creator: Account
  readonly createdAt: number
  readonly participants: Set<Account>
}

/** What a first-time companion is given by its phone. */
export interface Options {
  /** Whether phones share an app-state key and an (empty) history with a new companion, as real ones do. */
  readonly history: boolean
  /** Whether logins get `edge_routing`, which changes the client's credentials as on the real network. */
  readonly edgeRouting: boolean
}

/** Everything the server knows. It lives in memory and ends with the process. */
export interface World {
  readonly options: Options
  readonly accounts: Map<string, Account>
  /** Accounts by other numbers that people write for them (Brazil without the ninth digit, and its like). */
  readonly written: Map<string, Account>
  readonly byLid: Map<string, Account>
  readonly groups: Map<string, Group>
  readonly lines: Set<Line>
  readonly faults: Faults
  /** All devices there ever were, so that the report also speaks of unlinked ones. */
  readonly everyDevice: Map<string, Device>
  readonly log: Log
  /** What the page of the web client answers, which names its build; 404 without it. */
  webPage: { readonly status: number; readonly body: string } | undefined
  /** Work that must stop when the server closes. */
  readonly ends: Set<() => void>
}

/** Things that happened, newest last, bounded. */
interface Log {
  readonly messages: AcceptedMessage[]
  readonly retries: RetryNote[]
  /** What the stand-in itself stumbled over; empty in a healthy run. */
  readonly troubles: string[]
  /** Queries it does not know and answered empty, by xmlns. */
  readonly unanswered: Map<string, number>
  /** WebSockets that were opened, whoever it was. */
  connections: number
  refusedUpgrades: number
  refusedLogins: number
  pairings: number
  /** Acknowledgements of clients that are not linked yet, by the type of the notification. */
  readonly acknowledged: Map<string, number>
  /** How often the page of the web client was read. */
  pageReads: number
}

/** When the bytes of a message reached the server, on the machine's monotonic clock (`process.hrtime`). */
export interface AcceptedMessage {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly seenAtNs: string
  readonly at: number
  readonly duplicate: boolean
}

/** One retry receipt: `by` could not decrypt what `sender` sent. */
export interface RetryNote {
  readonly id: string
  readonly by: string
  readonly sender: string
  readonly count: number
  readonly at: number
}

const LOG_MAX = 50_000

/** Appends to a bounded list. */
export function note<T>(list: T[], item: T): void {
  list.push(item)
  if (list.length > LOG_MAX) list.splice(0, LOG_MAX / 10)
}
