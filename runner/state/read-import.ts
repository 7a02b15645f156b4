import { countCbor } from '#shared/cbor-walk.ts'
import { CodedError, hasCode } from '#shared/errors.ts'
import { ageOpenPieces } from '#shared/sealing/age.ts'
import { isAgeFile } from '#shared/sealing/age-header.ts'
import { openBundle } from './bundle.ts'
import { checkState } from './check.ts'
import { ratchetFence } from './ratchet-fence.ts'
import { looksLikeJson, readFolderJson } from './folder-json.ts'
import { importFolder } from './import-folder.ts'
import { isPlainBundle, readPlainBundle } from './plain-bundle.ts'
import { CREDS_KEY } from './record.ts'
import type { RecordMap } from './record-map.ts'

/** The largest record that we know, the version of an app state, has two items for each thing that was ever archived or muted. */
const RECORD_ITEMS_MAX = 500_000

export type ImportKind = { cleanlyStopped: boolean } & (
  | { format: 'baileys' }
  | { format: 'bundle'; passphrase?: string }
)

/** What was sent, by its beginning: only an object of JSON can be a folder. */
export const importKind = (
  bytes: Uint8Array,
  ask: { cleanlyStopped: boolean; passphrase?: string },
): ImportKind =>
  looksLikeJson(bytes)
    ? { format: 'baileys', cleanlyStopped: ask.cleanlyStopped }
    : { format: 'bundle', ...ask }

/**
 * The state that a tenant's bytes hold, checked and, unless its process was stopped cleanly, fenced. Pure but for the time
 * that a passphrase takes.
 * @throws CodedError `bad_import` and `wrong_passphrase`, and nothing else, whatever the bytes are; and neither says more
 *   of them than a file's name
 */
export async function readImport(
  bytes: Uint8Array,
  kind: ImportKind,
  nowMs: number,
): Promise<{ records: RecordMap; warnings: readonly string[] }> {
  try {
    const read =
      kind.format === 'baileys'
        ? importFolder(readFolderJson(bytes), kind, nowMs)
        : { records: await readBundle(bytes, kind, nowMs), warnings: [] }
    const { valid, problems } = checkState(read.records)
    if (!valid) throw new CodedError('bad_import', `import: ${problems.join('; ')}`)
    return read
  } catch (error) {
    // What lies below came of the tenant's bytes and may hold some of them, so no word of it goes on.
    if (hasCode(error, 'bad_import', 'wrong_passphrase')) throw new CodedError(error.code, error.message)
    if (hasCode(error, 'bad_age_file', 'wrong_recipient')) throw new CodedError('bad_import', error.message)
    throw new CodedError('bad_import', 'import: what was sent is not what it should be')
  }
}

async function readBundle(
  bytes: Uint8Array,
  kind: { passphrase?: string; cleanlyStopped: boolean },
  nowMs: number,
): Promise<RecordMap> {
  const records = await openAny(bytes, kind.passphrase)
  for (const [, value] of records.entries()) countCbor(value, RECORD_ITEMS_MAX)
  if (!kind.cleanlyStopped)
    for (const [name, value] of ratchetFence(records, CREDS_KEY, nowMs)) records.set(name, value)
  return records
}

/** A bundle in an age file under the passphrase, one that somebody took out of its age file, or an old one. */
async function openAny(bytes: Uint8Array, passphrase: string | undefined): Promise<RecordMap> {
  if (isPlainBundle(bytes)) return readPlainBundle(bytes)
  if (passphrase === undefined) throw new CodedError('wrong_passphrase', 'import: no passphrase came with it')
  if (!isAgeFile(bytes)) return (await openBundle(bytes, passphrase)).records
  // Not put together from its pieces: they and the whole would be there twice.
  const whole = Buffer.allocUnsafeSlow(bytes.length)
  let length = 0
  for await (const piece of ageOpenPieces([bytes], { passphrase })) {
    whole.set(piece, length)
    length += piece.length
  }
  const opened = whole.subarray(0, length)
  if (!isPlainBundle(opened)) throw new CodedError('bad_import', 'import: there is no bundle in the age file')
  return readPlainBundle(opened)
}
