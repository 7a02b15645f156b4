import { spawnSync } from 'node:child_process'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from './embedded-subject.ts'

/** Root alone may mount, and may become somebody else. */
export const isRoot = process.getuid?.() === 0

/** A disk of 24 MiB, for one test, which takes it away again. */
export interface SmallDisk extends AsyncDisposable {
  /** A name on it that is free. */
  readonly dataDir: string
  /** Takes what is left of it; `free` gives that back. */
  fill(): Promise<void>
  free(): Promise<void>
  remount(how: 'ro' | 'rw'): void
}

export async function smallDisk(): Promise<SmallDisk> {
  const folder = await temporaryFolder()
  run('mount', '-t', 'tmpfs', '-o', 'size=24m,mode=700', 'tmpfs', folder.path)
  const filler = join(folder.path, 'filler')
  return {
    dataDir: join(folder.path, 'data'),
    async fill() {
      const handle = await open(filler, 'w')
      const piece = Buffer.alloc(64 << 10)
      try {
        for (;;) await handle.appendFile(piece)
      } catch {
        // Full, which is what was wanted.
      } finally {
        await handle.close()
      }
    },
    free: () => rm(filler),
    remount: (how) => run('mount', '-o', `remount,${how}`, folder.path),
    async [Symbol.asyncDispose]() {
      run('umount', '-l', folder.path)
      await folder[Symbol.asyncDispose]()
    },
  }
}

function run(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
}
