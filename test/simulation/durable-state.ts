import { toError } from '#shared/errors.ts'
import { nameOfKey, type SessionKey } from '#shared/ids.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { KeyRing } from '#runner/state/data-keys.ts'
import type { EntryBody } from '#runner/state/entry.ts'
import { openEntry } from '#runner/state/sealed-entry.ts'
import { dataKeyAad } from '#runner/state/aad.ts'
import { decodeValue, splitRecordKey } from '#runner/state/record.ts'
import { RecordMap } from '#runner/state/record-map.ts'
import { INBOX_PREFIX } from '#runner/state/app-records.ts'
import type { MemoryDatabase } from './memory/database.ts'
import { unwrapNow } from './memory/key-wrapper.ts'
import { sentOf, type RatchetRecord } from './ratchet.ts'

/**
 * What a runner that dies in this very moment would leave behind of one session: the state after the newest entry that
 * the store holds, followed entry by entry as they are accepted.
 */
export class DurableState {
  readonly records = new RecordMap()
  /** Message ids that were ever kept in the inbox. */
  readonly kept = new Set<string>()
  readonly sent = new Map<string, number>()
  readonly #db: MemoryDatabase
  readonly #key: SessionKey
  #seq = 0

  constructor(db: MemoryDatabase, key: SessionKey) {
    this.#db = db
    this.#key = key
  }

  get seq(): number {
    return this.#seq
  }

  /** Takes in what was accepted since. Answers what is wrong with it, if anything. */
  follow(): string | undefined {
    const journal = this.#db.journals.get(this.#key)
    for (let entry = journal?.get(this.#seq + 1); entry; entry = journal?.get(this.#seq + 1)) {
      const body = this.#open(entry)
      if (typeof body === 'string') return body
      if (body.kind === 'reset' || body.kind === 'jump')
        return `entry ${entry.seq} puts another state in the place of the whole one, and nobody asked for that`
      for (const [name, value] of body.changes) {
        const wrong = this.#learn(name, value)
        if (wrong) return wrong
      }
      this.#seq = entry.seq
    }
    return undefined
  }

  /** A late writer seals with a data key that the newer owner may have retired by then. */
  #open(entry: JournalEntry): EntryBody | string {
    try {
      return openEntry(this.#key, entry, this.#ring(), this.records)
    } catch (error) {
      return `entry ${entry.seq} of epoch ${entry.epoch} is accepted, and nobody can open it: ${toError(error).message}`
    }
  }

  #learn(name: string, value: Uint8Array | null): string | undefined {
    this.records.set(name, value)
    const { type } = splitRecordKey(name)
    if (!value) return undefined
    if (name.startsWith(INBOX_PREFIX)) this.kept.add((decodeValue(value) as { id: string }).id)
    if (type !== 'session') return undefined
    for (const [chain, sent] of sentOf(decodeValue(value) as RatchetRecord)) {
      const before = this.sent.get(chain) ?? 0
      if (sent < before) return `a sending ratchet goes back from ${before} to ${sent}`
      this.sent.set(chain, sent)
    }
    return undefined
  }

  #ring(): KeyRing {
    const dataKeys = this.#db.sessions.get(nameOfKey(this.#key))?.session.dataKeys ?? []
    const find = (keyId: string) => {
      const found = dataKeys.find(({ id }) => id === keyId)
      return found && { id: keyId, bytes: unwrapNow(found.wrapped, dataKeyAad(this.#key, keyId)) }
    }
    const last = find(dataKeys.at(-1)?.id ?? '')
    if (!last) throw new Error('a session that writes has a data key')
    return { current: last, ids: dataKeys.map(({ id }) => id), find }
  }
}
