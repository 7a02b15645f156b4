import { CodedError } from '#shared/errors.ts'
import { splitKey } from '#shared/ids.ts'
import { exportsOf } from '#shared/registry.ts'
import { jobSecretAad, openBytes, openSecret } from '#shared/sealed-secret.ts'
import { exportBundle } from '../state/bundle.ts'
import { checkState } from '../state/check.ts'
import { withoutApp } from '../state/app-records.ts'
import { readImport } from '../state/read-import.ts'
import { beginAfresh, type Result, type Work } from './work.ts'

/** Writes the whole state as a bundle under the user's passphrase; control streams the object to the user. */
export async function exportState({ context, key, state, job }: Work): Promise<Result> {
  const { stores, clock } = context
  const { valid, problems } = checkState(state.records)
  if (!valid) throw new CodedError('no_state', `export: ${problems.join('; ')}`)
  const { tenant, session } = splitKey(key)
  const object = `${exportsOf(key)}${job.id}`
  const meta = { tenant, session, epoch: state.epoch, seq: state.journal.seq, exportedAt: clock.nowMs() }
  const parts = await exportBundle({
    records: withoutApp(state.records),
    meta,
    passphrase: await passphraseOf(context, key, job),
  })
  await stores.blobs.create(object, parts)
  return { object, bytes: parts.reduce((sum, part) => sum + part.length, 0) }
}

/**
 * Takes a state over from a bundle of ours or from a folder of Baileys. What comes is checked before anything is touched;
 * what was there is kept under a label. Another process may have gone on with these credentials, so the state is fenced
 * unless the user says that it was stopped cleanly.
 */
export async function importState({ context, key, live, state, job }: Work): Promise<Result> {
  const { stores } = context
  const object = String(job.args['object'])
  if (live.paired && job.args['force'] !== true) {
    throw new CodedError('newer_state', 'import: the session has healthy credentials')
  }
  const pieces: Uint8Array[] = []
  for await (const piece of stores.blobs.read(object)) pieces.push(piece)
  const bytes = await openBytes(stores.keys, Buffer.concat(pieces), jobSecretAad(key, job.id, 'import'))
  const cleanlyStopped = job.args['cleanlyStopped'] === true
  const kind =
    job.args['format'] === 'baileys'
      ? ({ format: 'baileys' } as const)
      : ({ format: 'bundle', passphrase: await passphraseOf(context, key, job) } as const)
  const { records, warnings } = await readImport(bytes, { ...kind, cleanlyStopped }, context.clock.nowMs())
  await live.closeSocket()
  if (live.paired) await state.snapshot('import', { label: 'before_import' })
  await state.replaceBy(records, 'import')
  live.restarted()
  beginAfresh(live)
  live.authenticatedAt = context.clock.nowMs()
  await stores.blobs.remove(object)
  return { warnings: warnings.length, ...(warnings[0] ? { firstWarning: warnings[0] } : {}) }
}

function passphraseOf(context: Work['context'], key: Work['key'], job: Work['job']): Promise<string> {
  const sealed = job.args['sealedPassphrase']
  if (typeof sealed !== 'string')
    throw new CodedError('wrong_passphrase', `${job.kind}: no passphrase came with it`)
  return openSecret(context.stores.keys, sealed, jobSecretAad(key, job.id, 'passphrase'))
}
