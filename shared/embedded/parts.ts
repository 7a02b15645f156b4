import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError } from '../errors.ts'

/**
 * An installation is whole, or it is new. What is missing of an old one was lost (a volume that is not mounted, a file that
 * was deleted, half a backup), and whoever makes it anew in silence begins a second life beside keys and backups that still
 * belong to the first: every session asks for a QR, and what would open the old ones is in the way of putting them back.
 */
export interface Parts {
  /** With something in it; an empty file is what a cut-off copy leaves. */
  records: boolean
  journal: boolean
  key: boolean
  /** The folder of the objects, and whether anything is in it. */
  blobs: boolean
  objects: boolean
}

export const RECORDS = 'records.db'
export const JOURNAL = 'journal.db'
export const BLOBS = 'blobs'

const HINT =
  'Put what is missing back from a backup. To begin anew, move the whole data directory away first.'

/** What is there before anything is made; of several processes that start, one at a time looks and makes. */
export function findParts(dataDir: string): Parts {
  const hasBytes = (name: string): boolean => sizeOf(join(dataDir, name)) > 0
  const objects = join(dataDir, BLOBS, 'objects')
  return {
    records: hasBytes(RECORDS),
    journal: hasBytes(JOURNAL),
    key: existsSync(join(dataDir, 'key')),
    blobs: existsSync(objects),
    objects: hasFiles(objects),
  }
}

/** What an installation left whose records are gone, for people; empty for a folder where nothing was stored. */
export const leftBehind = ({ records, journal, key, objects }: Parts): readonly string[] =>
  records
    ? []
    : [journal ? 'a journal' : '', key ? 'a key' : '', objects ? 'backups' : ''].filter((name) => name !== '')

/** Before the records are made. @throws CodedError `config` */
export function mustNotBeginBeside(dataDir: string, parts: Parts): void {
  const left = leftBehind(parts)
  if (left.length === 0) return
  const message = `${join(dataDir, RECORDS)} is missing, and beside it lies what is left of an installation: ${left.join(', ')}`
  throw new CodedError('config', message, { hint: HINT })
}

/** Once the records are open and have data keys, before anything else is made. @throws CodedError `config` */
export function mustBeWhole(dataDir: string, parts: Parts): void {
  const lost = !parts.journal ? JOURNAL : !parts.blobs ? join(BLOBS, 'objects') : undefined
  if (lost === undefined) return
  const message = `${join(dataDir, lost)} is missing, but ${join(dataDir, RECORDS)} has sessions that need it`
  throw new CodedError('config', message, { hint: HINT })
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** Whether there is any file below; looks no further than the first. */
function hasFiles(folder: string): boolean {
  if (!existsSync(folder)) return false
  return readdirSync(folder, { withFileTypes: true }).some((entry) =>
    entry.isDirectory() ? hasFiles(join(folder, entry.name)) : true,
  )
}
