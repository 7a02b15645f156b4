import { CodedError } from '#shared/errors.ts'
import { maskPhone } from '#shared/log.ts'
import { parseBufferJson, stringifyBufferJson } from './buffer-json.ts'
import { ratchetFence, liftCounters } from './ratchet-fence.ts'
import { CREDS_FILE, recordOfFile, type FolderType } from './folder-names.ts'
import { isPaired } from './paired.ts'
import { CREDS_KEY, encodeValue, recordKey } from './record.ts'
import { RecordMap } from './record-map.ts'

/** A folder of a busy account has thousands of files; a report of the first few says what kind of trouble it is. */
const WARNINGS_MAX = 50
/**
 * The largest file that we know, the version of an app state, has two values for each thing that was ever archived or
 * muted. A mebibyte of empty lists would be a hundred as objects.
 */
const FILE_ITEMS_MAX = 500_000
const NAME_CHARACTERS_SHOWN = 100

/**
 * The state that a folder of Baileys' `useMultiFileAuthState` holds: the files by their name, without a path. Files that
 * can't be used are left out with a warning, since a session can do without any of them but the credentials. Whoever ran
 * the folder must never start it again, and unless it was stopped cleanly the state is fenced, because it may have gone on
 * after the copy was made.
 * @throws CodedError `bad_import` for missing or unreadable credentials, for those of a device that is not linked, and for
 *   names that mean the same record or differ in case only (a disk that ignores case has lost one of such a pair)
 */
export function importFolder(
  files: ReadonlyMap<string, Uint8Array>,
  options: { cleanlyStopped: boolean },
  nowMs: number,
): { records: RecordMap; warnings: string[] } {
  refuseCaseTwins(files)
  const records = new RecordMap()
  records.set(CREDS_KEY, importCreds(files.get(CREDS_FILE)))
  const seen = new Set<string>()
  const warnings: string[] = []
  for (const [name, bytes] of files) {
    if (name === CREDS_FILE) continue
    const outcome = importFile(name, bytes)
    if (typeof outcome === 'string') {
      warnings.push(`${shown(name)}: ${outcome}`)
      continue
    }
    if (seen.has(outcome.key))
      throw new CodedError('bad_import', `import folder: two files hold the same record, ${shown(name)}`)
    seen.add(outcome.key)
    records.set(outcome.key, outcome.value)
  }
  const changes = options.cleanlyStopped
    ? liftCounters(records, CREDS_KEY)
    : ratchetFence(records, CREDS_KEY, nowMs)
  for (const [key, value] of changes) records.set(key, value)
  return { records, warnings: shortened(warnings) }
}

/** The bytes of a record, or why there is none. */
function importFile(name: string, bytes: Uint8Array): { key: string; value: Uint8Array } | string {
  const record = recordOfFile(name)
  if (!record) return 'not a file of such a folder; left out'
  try {
    const value = fit(record.type, parse(bytes))
    if (value === undefined) return 'not what such a file holds; left out'
    return { key: recordKey(record.type, record.id), value: encodeValue(value) }
  } catch {
    return bytes.length === 0 ? 'empty; left out' : 'not readable; left out'
  }
}

function importCreds(bytes: Uint8Array | undefined): Uint8Array {
  if (!bytes) throw new CodedError('bad_import', `import folder: there is no ${CREDS_FILE}`)
  let creds: unknown
  let encoded: Uint8Array
  try {
    creds = parse(bytes)
    encoded = encodeValue(creds)
  } catch {
    // Without the cause: a parser shows a piece of what it could not read, and that is credentials.
    throw new CodedError('bad_import', `import folder: ${CREDS_FILE} is not readable`)
  }
  if (!isPaired(creds))
    throw new CodedError('bad_import', `import folder: ${CREDS_FILE} is not of a linked device`)
  return encoded
}

const utf8 = new TextDecoder('utf-8', { fatal: true })
function parse(bytes: Uint8Array): unknown {
  if (itemsAtMost(bytes) > FILE_ITEMS_MAX) throw new RangeError('a file of too many values')
  return parseBufferJson(utf8.decode(bytes))
}

/** Every value of a JSON text but the first follows one of these, so there are no more; commas in texts only add to it. */
function itemsAtMost(bytes: Uint8Array): number {
  let items = 1
  for (const byte of bytes) if (byte === COMMA || byte === BRACKET || byte === BRACE) items++
  return items
}
const COMMA = 0x2c
const BRACKET = 0x5b
const BRACE = 0x7b

function refuseCaseTwins(files: ReadonlyMap<string, Uint8Array>): void {
  const folded = new Set<string>()
  for (const name of files.keys()) {
    const lower = name.toLowerCase()
    if (folded.has(lower))
      throw new CodedError('bad_import', `import folder: two names differ in case only, ${shown(name)}`)
    folded.add(lower)
  }
}

/** The value as rc14 wants it; `undefined` when it has not the shape of its type. */
function fit(type: FolderType, value: unknown): unknown {
  switch (type) {
    case 'sender-key':
      // 6.x stored the states as a JSON array, rc14 the bytes of their JSON text and fails on anything else.
      if (Array.isArray(value)) return Buffer.from(stringifyBufferJson(value), 'utf8')
      return value instanceof Uint8Array ? value : undefined
    case 'identity-key':
      return value instanceof Uint8Array ? value : undefined
    case 'lid-mapping':
      return typeof value === 'string' ? value : undefined
    case 'device-list':
      return Array.isArray(value) ? value : undefined
    case 'pre-key': {
      const { public: open, private: secret } = (value ?? {}) as { public?: unknown; private?: unknown }
      return open instanceof Uint8Array && secret instanceof Uint8Array ? value : undefined
    }
    case 'session':
    case 'sender-key-memory':
    case 'app-state-sync-key':
    case 'app-state-sync-version':
    case 'tctoken':
      return isPlainObject(value) ? value : undefined
  }
}

/** Names are the tenant's: some are numbers, and some are as long as a file. */
const shown = (name: string): string => maskPhone(name.slice(0, NAME_CHARACTERS_SHOWN))

const isPlainObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)

const shortened = (warnings: readonly string[]): string[] =>
  warnings.length <= WARNINGS_MAX
    ? [...warnings]
    : [...warnings.slice(0, WARNINGS_MAX), `and ${warnings.length - WARNINGS_MAX} more`]
