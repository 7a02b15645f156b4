import type { QueryDocumentSnapshot } from '@google-cloud/firestore'
import { CodedError } from '../errors.ts'
import type { SessionKey } from '../ids.ts'
import type { JournalEntry, JournalStore } from '../store/journal-store.ts'
import { bytesOf, type Database } from './database.ts'
import { between, spread } from './document-id.ts'
import { createJournalParts } from './journal-parts.ts'
import { removeFound } from './sweeper.ts'

/**
 * `sessionData/{hash}~{key}/journal/{seq}` {seq, epoch, nonce, sealed | parts}: one document an entry, made by `create()`,
 * so that the first writer of a seq wins whatever its epoch. Each session has a collection of its own, whose name begins
 * with a hash; so neither the names nor the index over `seq` make one server hot. An entry that does not fit has `parts`
 * in place of `sealed` and lies in `journalParts`; whoever waits for it sees all of it or nothing.
 *
 * Appends of several sessions go out side by side on one connection and not as one batch: one refused entry would undo
 * the others of its batch, and 50 at once reach 1,900 a second this way (docs/facts/google-cloud.md §10).
 */
interface EntryDocument {
  seq: number
  epoch: number
  nonce: string
  sealed?: Uint8Array
  parts?: number
}

/** What a `read` answers at most, about: a few MiB, as the port says. */
const READ_BYTES_MAX = 4 * 1024 * 1024
/** The first page is small, because nothing is known yet of the size of the entries; the next ones go by what came. */
const READ_FIRST = 32
const READ_PAGE_MAX = 300
const SEQ_DIGITS = 12
const digits = (seq: number): string => String(seq).padStart(SEQ_DIGITS, '0')
/** Sorts after every name that begins with a digit. */
const AFTER_DIGITS = ':'

export function firestoreJournalStore(db: Database): JournalStore {
  const parts = createJournalParts(db)
  const entriesOf = (key: SessionKey) => db.collection(`sessionData/${spread(key)}/journal`)

  async function toEntry(key: SessionKey, doc: QueryDocumentSnapshot): Promise<JournalEntry> {
    const { seq, epoch, nonce, sealed, parts: count } = doc.data() as EntryDocument
    const bytes = sealed ? bytesOf(sealed) : await parts.read(key, doc.id, nonce, count ?? 0)
    return { seq, epoch, nonce, sealed: bytes }
  }

  return {
    async append(key, { seq, epoch, nonce, sealed }) {
      const id = digits(seq)
      const count = parts.countFor(sealed)
      const together = parts.fitTogether(sealed)
      if (!together) await parts.stage(key, id, nonce, sealed)
      const entry: EntryDocument = { seq, epoch, nonce, ...(count > 0 ? { parts: count } : { sealed }) }
      const outcome = await db.commit('append a journal entry', (writes) => {
        writes.create(entriesOf(key).doc(id), entry)
        if (together) parts.add(writes, key, id, nonce, sealed)
      })
      if (!outcome.done) throw new CodedError('seq_taken', `journal of ${key}: seq ${seq} is taken`)
    },

    async read(key, fromSeq) {
      const entries: JournalEntry[] = []
      let bytes = 0
      let next = fromSeq
      for (let pageSize = READ_FIRST; ;) {
        const rest = between(entriesOf(key), digits(next), AFTER_DIGITS).limit(pageSize)
        const page = await db.query('read a journal', rest)
        for (const doc of page.docs) {
          const entry = await toEntry(key, doc)
          entries.push(entry)
          next = entry.seq + 1
          bytes += entry.sealed.byteLength
          if (bytes >= READ_BYTES_MAX) return entries
        }
        if (page.size < pageSize) return entries
        const average = bytes / entries.length + 1
        pageSize = Math.max(1, Math.min(READ_PAGE_MAX, Math.floor((READ_BYTES_MAX - bytes) / average)))
      }
    },

    async head(key) {
      const newest = entriesOf(key).orderBy('seq', 'desc').limit(1)
      const found = await db.query('read the head of a journal', newest.select('seq', 'epoch', 'nonce'))
      return found.docs[0]?.data() as Omit<JournalEntry, 'sealed'> | undefined
    },

    async truncate(key, throughSeq) {
      const [from, before] = [digits(0), digits(throughSeq + 1)]
      // Entries first: a reader may find parts without an entry, never an entry without its parts.
      await removeFound(db, 'truncate a journal', between(entriesOf(key), from, before))
      await removeFound(db, 'truncate a journal', between(parts.collection(key), from, before))
    },
  }
}
