import { appendFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '#shared/log.ts'
import { toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import { encodeBaseHead, encodeFrame, framesAfter, loadCopy, type LocalCopy } from './working-copy-file.ts'

export type { LocalCopy }

/**
 * The runner's local, disposable copies: per session the last snapshot as it was written and the journal entries since,
 * sealed as they are in the store. They only save a download at the next start, so a disk that is full or read-only ends
 * them for the session and nothing else.
 */
export interface WorkingCopies {
  load(key: SessionKey): Promise<LocalCopy | undefined>
  /** Notes an entry that is durable in the store. Returns at once; written behind. */
  append(key: SessionKey, entry: JournalEntry): void
  /** Replaces the base, and forgets the entries up to its seq. */
  rebase(key: SessionKey, head: { epoch: number; seq: number }, parts: readonly Uint8Array[]): Promise<void>
  drop(key: SessionKey): Promise<void>
  /** The sessions that there is a copy of, also of earlier starts. */
  keys(): Promise<readonly SessionKey[]>
  /** Resolves when all that was noted is on the disk, or given up. */
  settle(): Promise<void>
}

/** Written behind in batches: a working copy that misses the last entries is as good as one that has them. */
const WRITE_AFTER_MS = 200
/** Beyond this a tail costs more to replay than the snapshot it follows costs to load. */
const TAIL_BYTES_MAX = 8 * 1024 * 1024

export function fileWorkingCopies(dir: string, log: Log): WorkingCopies {
  const tails = new Map<SessionKey, { waiting: JournalEntry[]; bytes: number; off: boolean }>()
  let timer: NodeJS.Timeout | undefined
  let working: Promise<unknown> = mkdir(dir, { recursive: true, mode: 0o700 }).catch((error: unknown) =>
    log.warn(
      { error: toError(error), dir },
      'the working directory cannot be made; sessions go on in memory',
    ),
  )

  const file = (key: SessionKey, kind: 'base' | 'tail'): string =>
    join(dir, `${encodeURIComponent(key)}.${kind}`)

  /** One thing at a time: what is loaded, kept and forgotten must never cross. */
  const queue = <T>(work: () => Promise<T>): Promise<T> => {
    const done = working.then(work)
    working = done.catch(() => undefined)
    return done
  }

  const cannotWrite = (key: SessionKey, error: unknown): void =>
    log.warn(
      { error: toError(error), sessionKey: key },
      'the working copy cannot be written; the session goes on in memory',
    )

  async function flush(): Promise<void> {
    for (const [key, tail] of tails) {
      if (tail.waiting.length === 0) continue
      const bytes = Buffer.concat(tail.waiting.map(encodeFrame))
      tail.waiting = []
      try {
        await appendFile(file(key, 'tail'), bytes, { mode: 0o600 })
      } catch (error) {
        tail.off = true
        cannotWrite(key, error)
        await remove(file(key, 'tail'))
      }
    }
  }

  return {
    load: (key) =>
      queue(() => loadCopy(file(key, 'base'), file(key, 'tail')).catch((): undefined => undefined)),

    append(key, entry) {
      const tail = tails.get(key) ?? { waiting: [], bytes: 0, off: false }
      tails.set(key, tail)
      if (tail.off) return
      tail.bytes += entry.sealed.length
      if (tail.bytes > TAIL_BYTES_MAX) tail.off = true
      // As it is: whoever waits for the entry does not wait for its frame.
      tail.waiting.push(entry)
      timer ??= setTimeout(() => {
        timer = undefined
        void queue(flush)
      }, WRITE_AFTER_MS)
      timer.unref()
    },

    rebase: (key, head, parts) =>
      queue(async () => {
        const base = file(key, 'base')
        const tail = file(key, 'tail')
        try {
          const kept = framesAfter(await readFile(tail).catch(() => Buffer.alloc(0)), head.seq)
          await writeFile(`${base}.new`, [encodeBaseHead(head), ...parts], { mode: 0o600 })
          await writeFile(`${tail}.new`, kept, { mode: 0o600 })
          // The base first: an older tail than the base is skipped as far as the base goes, a newer one has a gap.
          await rename(`${base}.new`, base)
          await rename(`${tail}.new`, tail)
          const waiting = (tails.get(key)?.waiting ?? []).filter((entry) => entry.seq > head.seq)
          const sizes = [...kept.map((frame) => frame.length), ...waiting.map(({ sealed }) => sealed.length)]
          const bytes = sizes.reduce((sum, size) => sum + size, 0)
          tails.set(key, { waiting, bytes, off: false })
        } catch (error) {
          cannotWrite(key, error)
          await remove(`${base}.new`)
          await remove(`${tail}.new`)
        }
      }),

    drop(key) {
      tails.delete(key)
      return queue(async () => {
        for (const kind of ['base', 'tail'] as const) {
          await remove(file(key, kind))
          await remove(`${file(key, kind)}.new`)
        }
      })
    },

    keys: () =>
      queue(async () => {
        const names = await readdir(dir).catch(() => [] as string[])
        const encoded = names.flatMap((name) => /^(.+)\.(?:base|tail)(?:\.new)?$/.exec(name)?.[1] ?? [])
        return [...new Set(encoded)].map((name) => decodeURIComponent(name) as SessionKey)
      }),

    async settle() {
      clearTimeout(timer)
      timer = undefined
      await queue(flush)
    },
  }
}

const remove = (path: string): Promise<void> => rm(path, { force: true }).catch(() => undefined)
