import {
  initAuthCreds,
  proto,
  type AuthenticationCreds,
  type AuthenticationState,
  type SignalDataSet,
  type SignalDataTypeMap,
  type SignalKeyStore,
} from '@whiskeysockets/baileys'
import { CodedError } from '#shared/errors.ts'
import { handedToLibrary } from '#shared/process.ts'
import { CREDS_KEY, decodeValue, encodeValue, isLazy, recordKey } from '../state/record.ts'
import type { Change } from '../state/pending-changes.ts'
import type { RecordMap } from '../state/record-map.ts'
import type { CredsChange } from '../state/session-state.ts'
import type { Dropped } from './dropped.ts'
import { ownAddresses } from './people.ts'
import { RecordBudgets } from './record-budgets.ts'

/** The authentication state of one connection. */
export interface ConnectionAuth extends AuthenticationState {
  /** From here on `set` throws: nothing is stored any more whose receipt could not be sent. */
  close(): void
}

/** What a connection needs of a session's state. */
export interface AuthSource {
  storedCreds(): unknown
  followCreds(encode: () => CredsChange | undefined): void
  readonly records: Pick<RecordMap, 'get' | 'entries' | 'chunks'>
  readonly journal: { set(changes: readonly Change[], how: { lazy: boolean }): Promise<void> }
}

/**
 * Baileys' authentication state over the session's records: `get` answers from memory with fresh copies, `set` is atomic,
 * changes the memory at once and resolves when the journal entry is durable; every kind of record stays within its budget.
 * Made anew for every connection: a mutex that got stuck in the old one's transaction layer stays behind with it.
 */
export function connectionAuth(state: AuthSource, dropped: Dropped = () => undefined): ConnectionAuth {
  const creds = (state.storedCreds() as AuthenticationCreds | undefined) ?? initAuthCreds()
  state.followCreds(() => [CREDS_KEY, encodeValue(creds)])
  let closed = false
  const close = (): void => {
    closed = true
  }
  const budgets = new RecordBudgets(state.records, dropped, (person) => ownAddresses(creds).has(person))
  return { creds, keys: keyStore(state, budgets, () => closed), close }
}

function keyStore(state: AuthSource, budgets: RecordBudgets, isClosed: () => boolean): SignalKeyStore {
  return {
    get<T extends keyof SignalDataTypeMap>(type: T, ids: string[]): { [id: string]: SignalDataTypeMap[T] } {
      const values: { [id: string]: SignalDataTypeMap[T] } = {}
      for (const id of ids) {
        const bytes = state.records.get(recordKey(type, id))
        if (bytes) budgets.use(type, id)
        if (bytes) values[id] = revive(type, decodeValue(bytes)) as SignalDataTypeMap[T]
      }
      return values
    },

    set(data: SignalDataSet): Promise<void> {
      if (isClosed())
        return Promise.reject(
          handedToLibrary(new CodedError('closed', 'set keys after the connection ended')),
        )
      const changes: Change[] = []
      let lazy = true
      for (const [type, values] of Object.entries(data)) {
        for (const [id, value] of Object.entries(values ?? {})) {
          const key = recordKey(type, id)
          if (value === null || value === undefined) {
            // Deleting what is not there is no change: rc14 does so for every pre-key it has already used up.
            if (state.records.get(key) === undefined) continue
            changes.push([key, null])
          } else {
            const bytes = encodeValue(value)
            // Device lists and mappings come again unchanged with every look-up.
            if (isLazy(type) && same(state.records.get(key), bytes)) continue
            changes.push([key, bytes])
          }
          lazy &&= isLazy(type)
        }
      }
      const admitted = budgets.admit(changes)
      if (admitted.length === 0) return Promise.resolve()
      return state.journal.set(admitted, { lazy }).catch((error: unknown) => {
        throw handedToLibrary(error)
      })
    },
  }
}

const same = (known: Uint8Array | undefined, bytes: Uint8Array): boolean =>
  known !== undefined && Buffer.compare(known, bytes) === 0

/** The one type that Baileys wants as a protobuf object. */
function revive(type: string, value: unknown): unknown {
  if (type !== 'app-state-sync-key') return value
  return proto.Message.AppStateSyncKeyData.fromObject(value as Record<string, unknown>)
}
