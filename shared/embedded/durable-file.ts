import { link, mkdir, open, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isSystemError } from './sqlite-error.ts'

/** Writes the names in a folder to disk: a new file is only found after a power cut once its folder was synced. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes a folder and those above it, durably. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

/**
 * Creates a file whole or not at all: written beside, synced, then linked under its name, which fails where the name is
 * taken, and the folder synced. Answers false when it was taken. The folders exist, on one file system.
 */
export async function createFile(
  path: string,
  scratch: string,
  parts: readonly Uint8Array[] | AsyncIterable<Uint8Array>,
): Promise<boolean> {
  const handle = await open(scratch, 'wx', 0o600)
  try {
    try {
      for await (const part of parts) await handle.writeFile(part)
      await handle.datasync()
    } finally {
      await handle.close()
    }
    await link(scratch, path)
    await syncFolder(dirname(path))
    return true
  } catch (thrown) {
    if (isSystemError(thrown, 'EEXIST')) return false
    throw thrown
  } finally {
    await unlink(scratch)
  }
}
