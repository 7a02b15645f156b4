import { countCbor } from '#shared/cbor-walk.ts'
import { CodedError, hasCode } from '#shared/errors.ts'
import { openBundle } from './bundle.ts'
import { checkState } from './check.ts'
import { ratchetFence } from './ratchet-fence.ts'
import { importFolder } from './import-folder.ts'
import { CREDS_KEY } from './record.ts'
import type { RecordMap } from './record-map.ts'

/** The largest record that we know, the version of an app state, has two items for each thing that was ever archived or muted. */
const RECORD_ITEMS_MAX = 500_000

export type ImportKind = { cleanlyStopped: boolean } & (
  | { format: 'baileys' }
  | { format: 'bundle'; passphrase: string }
)

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
        ? importFolder(readFolder(bytes), kind, nowMs)
        : { records: await readBundle(bytes, kind, nowMs), warnings: [] }
    const { valid, problems } = checkState(read.records)
    if (!valid) throw new CodedError('bad_import', `import: ${problems.join('; ')}`)
    return read
  } catch (error) {
    // What lies below came of the tenant's bytes and may hold some of them, so no word of it goes on.
    if (hasCode(error, 'bad_import', 'wrong_passphrase')) throw new CodedError(error.code, error.message)
    throw new CodedError('bad_import', 'import: what was sent is not what it should be')
  }
}

async function readBundle(
  bytes: Uint8Array,
  kind: { passphrase: string; cleanlyStopped: boolean },
  nowMs: number,
): Promise<RecordMap> {
  const { records } = await openBundle(bytes, kind.passphrase)
  for (const [, value] of records.entries()) countCbor(value, RECORD_ITEMS_MAX)
  if (!kind.cleanlyStopped)
    for (const [name, value] of ratchetFence(records, CREDS_KEY, nowMs)) records.set(name, value)
  return records
}

/** `{files: {name: base64}}`, as control wrote it. */
function readFolder(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const { files } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { files: Record<string, string> }
  return new Map(Object.entries(files).map(([name, content]) => [name, Buffer.from(content, 'base64')]))
}
