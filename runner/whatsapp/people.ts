import { isJidBroadcast, isJidGroup, jidDecode } from '@whiskeysockets/baileys'
import { decodeValue, recordKey } from '../state/record.ts'

/** A person as an address names one: by number or by LID, whatever the device, hosted or not. */
interface Address {
  by: 'phone' | 'lid'
  user: string
}

/** What a connection knows of who is who. */
export interface PeopleSource {
  readonly creds: { me?: { id?: string | undefined; lid?: string | undefined } | undefined }
  readonly records: { get(key: string): Uint8Array | undefined }
}

/** Who a stanza came from, as the server stamped it. */
export type Stamped = Readonly<Record<string, string>>

/** Who wrote a stanza: in a group or a broadcast the one it names, else the one it came from, whatever else it says. */
export const authorOf = ({ from, participant }: { from?: string; participant?: string }): string =>
  (isJidGroup(from) || isJidBroadcast(from) ? participant : from) ?? ''

/** A person with a number and a LID is one; what tells them apart is the session's own credentials and its stored mapping. */
export class People {
  readonly #source: PeopleSource

  constructor(source: PeopleSource) {
    this.#source = source
  }

  /** The account's own jid by number, once it is paired. */
  get ownJid(): string | undefined {
    return this.#source.creds.me?.id
  }

  /** One of the session's own devices, by number or by LID. */
  isOwn(jid: string | undefined): boolean {
    const { me } = this.#source.creds
    return [me?.id, me?.lid].some((own) => isSameAddress(addressOf(own), addressOf(jid)))
  }

  /** The same person, as far as the mapping knows. */
  isSame(one: string | undefined, other: string | undefined): boolean {
    const [a, b] = [addressOf(one), addressOf(other)]
    if (!a || !b) return false
    if (a.by === b.by) return a.user === b.user
    const [phone, lid] = a.by === 'phone' ? [a.user, b.user] : [b.user, a.user]
    return this.#mapped(phone) === lid || this.#mapped(`${lid}_reverse`) === phone
  }

  /**
   * Whether a stanza (a receipt, a request to send again) is by somebody to whom a message to `to` went. Who is in a group
   * is the server's to say: it passes on nothing of others to a group.
   */
  isRecipient(to: string, by: Stamped): boolean {
    const author = authorOf(by)
    if (isJidGroup(by['from'])) return to === by['from'] && author !== '' && !this.isOwn(author)
    const names = [by['from'], by['sender_pn'], by['sender_lid']]
    return names.some((name) => this.isSame(to, name))
  }

  #mapped(id: string): unknown {
    const bytes = this.#source.records.get(recordKey('lid-mapping', id))
    return bytes && decodeValue(bytes)
  }
}

/** The account as records name it: `user` by number, `user_1` by LID. */
export function ownAddresses({ me }: PeopleSource['creds']): ReadonlySet<string> {
  const [phone, lid] = [addressOf(me?.id), addressOf(me?.lid)]
  return new Set([...(phone ? [phone.user] : []), ...(lid ? [`${lid.user}_1`] : [])])
}

/** `undefined` for what is no person. */
function addressOf(jid: string | undefined): Address | undefined {
  const { user, server } = jidDecode(jid) ?? {}
  if (!user) return undefined
  if (server === 'lid' || server === 'hosted.lid') return { by: 'lid', user }
  if (server === 's.whatsapp.net' || server === 'hosted' || server === 'c.us') return { by: 'phone', user }
  return undefined
}

const isSameAddress = (a: Address | undefined, b: Address | undefined): boolean =>
  a !== undefined && a.by === b?.by && a.user === b.user
