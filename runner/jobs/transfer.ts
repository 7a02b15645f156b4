import { CodedError } from '#shared/errors.ts'
import { splitKey } from '#shared/ids.ts'
import { exportsOf } from '#shared/registry.ts'
import { ageOpenPieces, ageSealPieces, type SealedFor } from '#shared/sealing/age.ts'
import { inboundPlace, openInbound, openInboundText } from '#shared/sealing/inbound.ts'
import { checkState } from '../state/check.ts'
import { withoutApp } from '../state/app-records.ts'
import { plainBundle } from '../state/plain-bundle.ts'
import type { Result, Work } from './work.ts'

/** Writes the whole state as a bundle in an age file; control streams the object to the user. */
export async function exportState(work: Work): Promise<Result> {
  const { context, key, state, job } = work
  const { stores, clock } = context
  const { valid, problems } = checkState(state.records)
  if (!valid) throw new CodedError('no_state', `export: ${problems.join('; ')}`)
  const sealedFor = await whoFor(work)
  const { tenant, session } = splitKey(key)
  const object = `${exportsOf(key)}${job.id}`
  const meta = { tenant, session, epoch: state.epoch, seq: state.journal.seq, exportedAt: clock.nowMs() }
  let bytes = 0
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const piece of ageSealPieces(plainBundle(withoutApp(state.records), meta), sealedFor)) {
      bytes += piece.length
      yield piece
    }
  }
  // A try before this one may have come as far as this; what it wrote has another file key, so it is no use comparing.
  await stores.blobs.remove(object)
  await stores.blobs.create(object, counted())
  return { object, bytes }
}

/** The rule is this runner's own: whoever writes jobs can't choose a passphrase unless the operator lets them. */
async function whoFor(work: Work): Promise<SealedFor> {
  const { exports } = work.context.transfer
  if (exports.to === 'passphrase') {
    const passphrase = await passphraseOf(work)
    if (passphrase === undefined)
      throw new CodedError('wrong_passphrase', 'export: no passphrase came with it')
    return { passphrase }
  }
  if (work.job.args['sealedPassphrase'] !== undefined)
    throw new CodedError('export_off', 'export: no passphrase is taken here')
  if (exports.recipients.length === 0)
    throw new CodedError('export_off', 'export: nobody is named whom it could be sealed for')
  return exports.recipients
}

/**
 * Takes a state over from a bundle or from a folder of Baileys. A process of its own reads what was sent (`gate/`), so it is
 * checked before anything is touched; what was there is kept under a label. Another process may have gone on with these
 * credentials, so the state is fenced unless the user says that it was stopped cleanly.
 */
export async function importState(work: Work): Promise<Result> {
  const { context, key, live, state, job } = work
  const { stores, gate } = context
  const object = String(job.args['object'])
  if (live.identity.paired && job.args['force'] !== true)
    throw new CodedError('newer_state', 'import: the session has healthy credentials')
  const passphrase = await passphraseOf(work)
  const { records, warnings } = await gate
    .read(await openUpload(work, object), {
      cleanlyStopped: job.args['cleanlyStopped'] === true,
      ...(passphrase !== undefined && { passphrase }),
    })
    .finally(() => gate.leave(key))
  await live.closeSocket()
  if (live.identity.paired) await state.snapshot('import', { label: 'before_import' })
  await state.replaceBy(records, 'import')
  live.exchanged()
  live.beginAfresh()
  live.imported()
  await stores.blobs.remove(object)
  return { warnings: warnings.length, ...(warnings[0] ? { firstWarning: warnings[0] } : {}) }
}

async function openUpload({ context, key, job }: Work, object: string): Promise<AsyncIterable<Uint8Array>> {
  const { stores, transfer } = context
  const identities = await transfer.identities()
  const file = stores.blobs.read(object)
  return job.args['sealedBy'] === 'sender'
    ? ageOpenPieces(file, identities)
    : openInbound(file, identities, inboundPlace(key, job.id, 'import'))
}

async function passphraseOf({ context, key, job }: Work): Promise<string | undefined> {
  const sealed = job.args['sealedPassphrase']
  if (typeof sealed !== 'string') return undefined
  return openInboundText(sealed, await context.transfer.identities(), inboundPlace(key, job.id, 'passphrase'))
}
