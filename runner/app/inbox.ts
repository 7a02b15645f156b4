import { createHash } from 'node:crypto'
import {
  getContentType,
  isJidGroup,
  isJidStatusBroadcast,
  jidNormalizedUser,
  normalizeMessageContent,
  proto,
  unpadRandomMax16,
  type BinaryNode,
} from '@whiskeysockets/baileys'
import type { FeedItem } from '#shared/store/feed-store.ts'
import type { Change } from '../state/pending-changes.ts'
import { INBOX_PREFIX, numberText, POSITION_KEY } from '../state/app-records.ts'
import { decodeValue, encodeValue, splitRecordKey } from '../state/record.ts'
import type { SessionState } from '../state/session-state.ts'
import { authorOf, People, type Stamped } from '../whatsapp/people.ts'
import type { PlaintextKeeper } from '../whatsapp/signal-repository.ts'

/** What is kept of a message beside its plaintext: enough to tell the application of it after a crash. */
interface Kept {
  id: string
  from: string
  participant?: string
  senderPn?: string
  /** To whom, of what another device of ours sent. */
  recipient?: string
  recipientPn?: string
  /** Written by one of our own devices; not known of what was kept before 2026-11-28. */
  isOurs?: boolean
  /** Seconds since 1970, by WhatsApp. */
  t: number
  /** Of the ciphertext, to know it again. */
  hash: string
  bytes: Uint8Array
}

/**
 * How many messages are remembered after the application has them. The server delivers again what it saw no receipt for,
 * and sends offline messages in batches of 100 (what rc14 asks for); twice that leaves nothing out.
 */
const REMEMBERED = 200
/** Of them so many bytes: a stranger's message may have as many as WhatsApp takes. */
const REMEMBERED_BYTES = 2 * 1024 * 1024

/** A message that the application does not have yet. */
interface Waiting {
  id: string
  /** Absent where it holds nothing for people. */
  item?: FeedItem
  /** It says that we sent it, and came from none of our devices. */
  isForged?: true
}

/**
 * The session's inbox while one state lasts: which stanza a ciphertext came in (Baileys hands the very same bytes to the
 * repository), the order of arrival, what the application does not have yet, and what the server may deliver once more.
 */
export class Inbox implements PlaintextKeeper {
  readonly #state: SessionState
  readonly #stanzas = new WeakMap<Uint8Array, { attrs: Stamped; isOurs: boolean | undefined }>()
  readonly #byHash = new Map<string, string>()
  #waiting: string[]
  #delivered: string[]
  #next: number

  constructor(state: SessionState) {
    this.#state = state
    const ids = [...state.records.entries(INBOX_PREFIX)].map(([key]) => key.slice(INBOX_PREFIX.length))
    const position = state.records.get(POSITION_KEY)
    const through = position ? String(decodeValue(position)) : ''
    this.#waiting = ids.filter((id) => id > through)
    this.#delivered = ids.filter((id) => id <= through)
    this.#next = Math.max(Number(ids.at(-1) ?? 0), Number(through)) + 1
    for (const id of ids) {
      const kept = this.#read(id)
      if (kept) this.#byHash.set(kept.hash, id)
    }
  }

  /**
   * Notes a stanza before Baileys handles it, and whether one of our own devices wrote it: who we are may be another when
   * the application gets it. Without that it is judged then.
   */
  note(stanza: BinaryNode, isOurs?: boolean): void {
    if (stanza.tag !== 'message' || !Array.isArray(stanza.content)) return
    for (const child of stanza.content) {
      if (child.tag === 'enc' && child.content instanceof Uint8Array)
        this.#stanzas.set(child.content, { attrs: stanza.attrs, isOurs })
    }
  }

  keep(ciphertext: Uint8Array, plaintext: Uint8Array): { id: string; value: Kept } | undefined {
    const { attrs, isOurs } = this.#stanzas.get(ciphertext) ?? {}
    const { id: messageId, from, participant, t } = attrs ?? {}
    // Peer messages (key shares, history) are the protocol's own; Baileys handles them from what it stored.
    if (!attrs || messageId === undefined || from === undefined || attrs['category'] === 'peer')
      return undefined
    const { recipient, participant_pn, sender_pn, peer_recipient_pn: recipientPn } = attrs
    const senderPn = participant_pn ?? sender_pn
    const id = numberText(this.#next++)
    const hash = hashOf(ciphertext)
    this.#byHash.set(hash, id)
    this.#waiting.push(id)
    const value: Kept = {
      id: messageId,
      from,
      ...(participant === undefined ? {} : { participant }),
      ...(senderPn === undefined ? {} : { senderPn }),
      ...(recipient === undefined ? {} : { recipient }),
      ...(recipientPn === undefined ? {} : { recipientPn }),
      ...(isOurs === undefined ? {} : { isOurs }),
      // Whoever pushes a stanza may leave it out, or write no number.
      t: Number(t) || 0,
      hash,
      bytes: plaintext,
    }
    return { id: splitRecordKey(INBOX_PREFIX + id).id, value }
  }

  cameIn(ciphertext: Uint8Array): Stamped | undefined {
    return this.#stanzas.get(ciphertext)?.attrs
  }

  known(ciphertext: Uint8Array): Uint8Array | undefined {
    const id = this.#byHash.get(hashOf(ciphertext))
    return id === undefined ? undefined : this.#read(id)?.bytes
  }

  /**
   * What the application does not have yet, in the order of arrival. The last of it may not be durable yet: after a crash
   * the server delivers that again, and the feed takes each message once.
   */
  waiting(creds: unknown, limit: number): Waiting[] {
    // A record that is not there belongs to a decryption that failed, or to one that has not been committed yet.
    const found: Waiting[] = []
    const { records } = this.#state
    const people = new People({ creds: creds ?? {}, records })
    for (const id of this.#waiting) {
      const kept = this.#read(id)
      if (kept) found.push({ id, ...itemOf(kept, people) })
      if (found.length === limit) break
    }
    return found
  }

  /** Something durable waits for the application. */
  get hasWaiting(): boolean {
    return this.#waiting.some((id) => this.#state.records.get(INBOX_PREFIX + id) !== undefined)
  }

  /** The application has these now. They are remembered for a while, and then leave the state with some later entry. */
  async delivered(ids: readonly string[]): Promise<void> {
    const done = new Set(ids)
    const last = ids.at(-1) ?? ''
    this.#waiting = this.#waiting.filter((id) => !done.has(id) && (id > last || this.#read(id) !== undefined))
    this.#delivered = [...this.#delivered, ...ids]
    const old = this.#delivered.splice(0, this.#delivered.length - this.#rememberedCount())
    for (const id of old) {
      const kept = this.#read(id)
      if (kept) this.#byHash.delete(kept.hash)
    }
    const gone = old.map((id): Change => [INBOX_PREFIX + id, null])
    // It rides with the next entry: a crash before that hands the last few to the feed again, which takes each once.
    await this.#state.journal.set([[POSITION_KEY, encodeValue(last)], ...gone], { ride: true })
  }

  /** How many of the last ones are remembered. */
  #rememberedCount(): number {
    let bytes = 0
    const newest = this.#delivered.slice(-REMEMBERED)
    const first = newest.findLastIndex((id) => {
      bytes += this.#state.records.get(INBOX_PREFIX + id)?.length ?? 0
      return bytes > REMEMBERED_BYTES
    })
    return newest.length - first - 1
  }

  #read(id: string): Kept | undefined {
    const bytes = this.#state.records.get(INBOX_PREFIX + id)
    return bytes && (decodeValue(bytes) as Kept)
  }
}

/** Enough of SHA-256 to tell one session's recent messages apart. */
const hashOf = (ciphertext: Uint8Array): string =>
  createHash('sha256').update(ciphertext).digest('base64').slice(0, 22)

/** Whoever sent it may have put anything into it: what is no message holds nothing for people, and stops no other. */
function itemOf(kept: Kept, people: People): Pick<Waiting, 'item' | 'isForged'> {
  try {
    return toFeedItem(kept, people)
  } catch {
    return {}
  }
}

/**
 * What the application reads of a kept message. Throws when it is none. Who wrote it, in which chat and when is what the
 * stanza says: all that is inside is the sender's claim, and only a device of ours may claim that we sent something.
 */
function toFeedItem(kept: Kept, people: People): Pick<Waiting, 'item' | 'isForged'> {
  const decoded = proto.Message.decode(unpadRandomMax16(kept.bytes))
  const author = authorOf(kept)
  const isOurs = kept.isOurs ?? people.isOwn(author)
  const copy = decoded.deviceSentMessage
  if (copy && !isOurs) return { isForged: true }
  const content = normalizeMessageContent(copy?.message ?? decoded)
  const kind = content && getContentType(content)
  if (!content || !kind || kind === 'protocolMessage' || kind === 'senderKeyDistributionMessage') return {}
  const text = content.conversation || content.extendedTextMessage?.text
  const sender = isOurs ? (people.ownJid ?? author) : (kept.senderPn ?? author)
  // What was kept before 2026-11-28 has no recipient; a device of ours named the same one inside.
  const recipient = kept.recipientPn ?? kept.recipient ?? copy?.destinationJid ?? kept.from
  const isNamed = isJidGroup(kept.from) || isJidStatusBroadcast(kept.from)
  const other = isOurs ? (people.isOwn(recipient) ? sender : recipient) : sender
  return {
    item: {
      id: kept.id,
      from: jidNormalizedUser(sender),
      chat: jidNormalizedUser(isNamed ? kept.from : other),
      kind: text ? 'text' : kind,
      ...(text ? { text } : {}),
      at: kept.t * 1000,
    },
  }
}
