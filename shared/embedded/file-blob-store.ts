import { open, readdir, readFile, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CodedError } from '../errors.ts'
import type { Random } from '../random.ts'
import type { BlobStore } from '../store/blob-store.ts'
import { createFile, makeFolder, syncFolder } from './durable-file.ts'
import { isSystemError, storeError } from './sqlite-error.ts'

const PIECE_BYTES = 256 << 10
/** A scratch file this old was left by a process that died: no object takes this long to write. */
const SCRATCH_KEPT_MS = 3_600_000
/** Linux allows 255 bytes in one step of a path; one goes to the mark. */
const STEP_LENGTH_MAX = 254
/** Ends the name of every object's file; it is no letter of a name, so an object and a folder never collide. */
const MARK = '='

/**
 * Objects as files below `{folder}/objects`. What is being written is in `{folder}/scratch` until it is whole and on
 * disk, so that neither a listing nor a reader ever sees a part of it.
 */
export async function fileBlobStore(options: {
  folder: string
  random: Random
  nowMs: number
}): Promise<BlobStore> {
  const { random } = options
  const objects = join(options.folder, 'objects')
  const scratch = join(options.folder, 'scratch')
  await makeFolder(objects)
  await makeFolder(scratch)
  await removeLeftovers(scratch, options.nowMs - SCRATCH_KEPT_MS)

  const pathOf = (name: string): string => {
    const steps = name.split('/')
    const isGood = steps.every((step) => isStep(step) && step.length > 0)
    if (!isGood) throw new CodedError('invalid_field', 'this is no name for an object', { field: 'name' })
    return join(objects, name) + MARK
  }

  return {
    async create(name, parts) {
      const path = pathOf(name)
      try {
        await makeFolder(dirname(path))
        if (await createFile(path, join(scratch, random.id()), parts)) return
        // An earlier call of ours, whose answer was lost, may have written exactly this.
        if (!(Symbol.asyncIterator in parts) && Buffer.concat(parts).equals(await readFile(path)))
          return await syncFolder(dirname(path))
      } catch (thrown) {
        throw storeError('create an object', thrown, path)
      }
      throw new CodedError('blob_exists', `the object ${name} exists`)
    },

    async *read(name) {
      const path = pathOf(name)
      try {
        const handle = await open(path, 'r')
        try {
          yield* handle.createReadStream({ highWaterMark: PIECE_BYTES, autoClose: false })
        } finally {
          await handle.close()
        }
      } catch (thrown) {
        const isMissing = isSystemError(thrown, 'ENOENT')
        if (isMissing) throw new CodedError('blob_missing', `there is no object ${name}`, { cause: thrown })
        throw storeError('read an object', thrown, path)
      }
    },

    async list(prefix) {
      if (!prefix.split('/').every(isStep)) {
        throw new CodedError('invalid_field', 'this is no prefix of a name', { field: 'prefix' })
      }
      const below = prefix.slice(0, prefix.lastIndexOf('/') + 1)
      try {
        const names = await namesBelow(objects, below)
        return names.filter((name) => name.startsWith(prefix)).toSorted()
      } catch (thrown) {
        throw storeError('list objects', thrown, objects)
      }
    },

    async remove(name) {
      const path = pathOf(name)
      try {
        await unlink(path)
        await syncFolder(dirname(path))
      } catch (thrown) {
        if (!isSystemError(thrown, 'ENOENT')) throw storeError('remove an object', thrown, path)
      }
    },
  }
}

/** `.` and `..` lead out of the folder, and nothing outside the port's letters may reach the file system. */
const isStep = (step: string): boolean =>
  /^[A-Za-z0-9._~-]*$/.test(step) && step !== '.' && step !== '..' && step.length <= STEP_LENGTH_MAX

async function namesBelow(objects: string, below: string): Promise<string[]> {
  let entries
  try {
    entries = await readdir(join(objects, below), { withFileTypes: true })
  } catch (thrown) {
    if (isSystemError(thrown, 'ENOENT')) return []
    throw thrown
  }
  const names = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(MARK))
    .map((entry) => below + entry.name.slice(0, -MARK.length))
  for (const entry of entries) {
    if (entry.isDirectory()) names.push(...(await namesBelow(objects, `${below}${entry.name}/`)))
  }
  return names
}

async function removeLeftovers(scratch: string, untilMs: number): Promise<void> {
  for (const name of await readdir(scratch)) {
    const path = join(scratch, name)
    try {
      if ((await stat(path)).mtimeMs < untilMs) await unlink(path)
    } catch (thrown) {
      // Its writer finished just now.
      if (!isSystemError(thrown, 'ENOENT')) throw thrown
    }
  }
}
