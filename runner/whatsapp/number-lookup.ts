import { jidDecode, USyncQuery, USyncUser, type WASocket } from '@whiskeysockets/baileys'
import type { Clock } from '#shared/clock.ts'
import { CodedError } from '#shared/errors.ts'
import { NUMBER_PREFIX } from '../state/app-records.ts'
import type { Change } from '../state/pending-changes.ts'
import { decodeValue, encodeValue, recordKey } from '../state/record.ts'
import type { RecordMap } from '../state/record-map.ts'

/** The account that WhatsApp means by an address, or that it knows none. */
export type Resolved = Account | 'not_on_whatsapp'
interface Account {
  jid: string
  lid?: string | undefined
}

/** Asks WhatsApp about the number with these digits. @throws when there is no answer, or a refusal */
export type AskNumber = (digits: string) => Promise<Resolved>

/** What is remembered of a number: the account, or that there was none. `at` is milliseconds since 1970. */
interface Remembered {
  jid?: string
  lid?: string
  at: number
}

interface NumberSource {
  readonly records: Pick<RecordMap, 'get' | 'entries'>
  readonly journal: { set(changes: readonly Change[], how: { ride: boolean }): Promise<void> }
}

/** Some hundred bytes each. A tenant that writes to more strangers asks again for those it wrote to first. */
const REMEMBERED_MAX = 5_000
/** Made room for at once, so that not every number that is new looks for one that goes. */
const ROOM = 500
/** Who is not there today may be there tomorrow. */
const ABSENT_FOR_MS = 24 * 3_600_000

/**
 * Which account a number is. WhatsApp's accounts are not always the number that people know (Brazil without the ninth digit,
 * Mexico with a 1, and the other way round by the age of the account), so a number that is new to the session
 * is asked for once and remembered, with the state of the session, in the next entry that is written anyway.
 */
export class NumberLookup {
  readonly #source: NumberSource
  readonly #clock: Clock
  readonly #ask: AskNumber
  /** Of each number one question at a time. */
  readonly #asked = new Map<string, Promise<Resolved>>()
  #count: number | undefined

  constructor(source: NumberSource, clock: Clock, ask: AskNumber) {
    this.#source = source
    this.#clock = clock
    this.#ask = ask
  }

  /** Whatever is no number is what it is. A repeat asks nobody. @throws what asking throws */
  async resolve(to: string): Promise<Resolved> {
    const digits = digitsOf(to)
    if (digits === undefined) return { jid: to }
    const known = this.#known(digits)
    if (known) return known
    const asked = this.#asked.get(digits) ?? this.#askFor(digits)
    this.#asked.set(digits, asked)
    return asked
  }

  /** The address of the account, as far as is known without asking. */
  accountOf(to: string): string {
    const digits = digitsOf(to)
    const account = digits === undefined ? undefined : this.#remembered(digits)
    return account?.jid ?? to
  }

  #known(digits: string): Resolved | undefined {
    const remembered = this.#remembered(digits)
    if (remembered) {
      const { jid, lid, at } = remembered
      if (jid !== undefined) return { jid, lid }
      if (this.#clock.nowMs() - at < ABSENT_FOR_MS) return 'not_on_whatsapp'
    }
    // Whoever it has a LID of is an account under just this number.
    const lid = this.#source.records.get(recordKey('lid-mapping', digits))
    return lid && { jid: `${digits}@s.whatsapp.net`, lid: `${String(decodeValue(lid))}@lid` }
  }

  #remembered(digits: string): Remembered | undefined {
    const bytes = this.#source.records.get(NUMBER_PREFIX + digits)
    return bytes && (decodeValue(bytes) as Remembered)
  }

  async #askFor(digits: string): Promise<Resolved> {
    try {
      const answer = await this.#ask(digits)
      const account = answer === 'not_on_whatsapp' ? {} : answer
      const remembered = encodeValue({ ...account, at: this.#clock.nowMs() })
      const changes: Change[] = [...this.#evicted(digits), [NUMBER_PREFIX + digits, remembered]]
      // Nobody waits for it: lost, it is asked for once more. A state that is closing takes nothing any more.
      void this.#source.journal.set(changes, { ride: true }).catch(() => undefined)
      return answer
    } finally {
      this.#asked.delete(digits)
    }
  }

  /** Those that were asked for first, when there is no room for one more. */
  #evicted(digits: string): Change[] {
    this.#count ??= [...this.#source.records.entries(NUMBER_PREFIX)].length
    if (this.#source.records.get(NUMBER_PREFIX + digits) === undefined) this.#count++
    if (this.#count <= REMEMBERED_MAX) return []
    const gone = [...this.#source.records.entries(NUMBER_PREFIX)]
      .map(([key, bytes]) => ({ key, at: (decodeValue(bytes) as Remembered).at }))
      .toSorted((a, b) => a.at - b.at)
      .slice(0, ROOM)
    this.#count -= gone.length
    return gone.map(({ key }): Change => [key, null])
  }
}

/** One query over the connection: whether the number is there, which account it is, and its LID where WhatsApp says it. */
export const askByUsync =
  (sock: Pick<WASocket, 'executeUSyncQuery'>): AskNumber =>
  async (digits) => {
    const user = new USyncUser().withPhone(`+${digits}`)
    const query = new USyncQuery().withContactProtocol().withLIDProtocol().withUser(user)
    // A query that got no answer in time resolves with nothing (docs/facts/baileys.md §1.1).
    const found = (await sock.executeUSyncQuery(query))?.list[0]
    if (!found) throw new CodedError('no_answer', 'WhatsApp did not say whether the number is there')
    const { id, contact, lid } = found as { id: string; contact?: unknown; lid?: unknown }
    if (contact !== true) return 'not_on_whatsapp'
    return { jid: id, ...(typeof lid === 'string' && { lid }) }
  }

function digitsOf(to: string): string | undefined {
  const { user, server, device } = jidDecode(to) ?? {}
  return server === 's.whatsapp.net' && device === undefined ? user : undefined
}
