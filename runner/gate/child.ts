import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Clock } from '#shared/clock.ts'
import { CodedError, hasCode } from '#shared/errors.ts'
import { readForeignChunk, RecordMap, type Chunk } from '../state/record-map.ts'
import { FRAMES, framesOf } from './frames.ts'
import type { Ask } from './reader.ts'

/** What one import may take of this machine. */
export interface ReaderLimits {
  /** Of V8's heap; buffers come on top. */
  heapMib: number
  /** Of all of the process, 45 MiB of which are Node and the program. */
  memoryMib: number
  withinMs: number
  /** How often its memory is looked at. */
  lookEveryMs: number
}

/** docs/design/tenants.md §15.1: 96 MiB of heap, 192 in all, half a minute. The image leaves room for one of these (Dockerfile). */
export const READER_LIMITS: ReaderLimits = { heapMib: 96, memoryMib: 192, withinMs: 30_000, lookEveryMs: 100 }

/** What may be uploaded; control counts it as it comes (control/routes/import.ts), and this once more. */
const IMPORT_BYTES_MAX = 64 * 1024 * 1024
/** What a state may be once it is packed; it is held in this form. */
const PACKED_BYTES_MAX = 64 * 1024 * 1024
/** Fifty warnings with a name each. */
const WORDS_BYTES_MAX = 64 * 1024
const NAME_LENGTH_MAX = 1000

const PROGRAM = fileURLToPath(new URL('./reader.ts', import.meta.url))

type Child = ChildProcessByStdio<Writable, Readable, null>

export interface Read {
  records: RecordMap
  warnings: readonly string[]
}

/**
 * Has a process of its own read a tenant's bytes: what they do to it, they do to nothing else. The heap of a worker thread
 * would be that of the image, and its limits count no buffers. Only chunks of records come out, each looked at again.
 * @throws CodedError `bad_import`, `wrong_passphrase`, `overloaded`; `closed` when `signal` ended it; what `bytes` throws
 */
export async function readInChild(
  bytes: AsyncIterable<Uint8Array>,
  ask: Omit<Ask, 'bytesMax'>,
  more: { clock: Clock; signal: AbortSignal; limits?: ReaderLimits; program?: string },
): Promise<Read> {
  const { clock, signal, limits = READER_LIMITS, program = PROGRAM } = more
  const cache = process.env['NODE_COMPILE_CACHE']
  const child = spawn(process.execPath, [`--max-old-space-size=${limits.heapMib}`, program], {
    // Nothing of ours: no flags that would be its own, no key that it could give away.
    env: cache === undefined ? {} : { NODE_COMPILE_CACHE: cache },
    // What it says beside its frames (Node's last words) may be of the bytes.
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  let why: CodedError | undefined
  const end = (error: CodedError): void => {
    why ??= error
    child.kill('SIGKILL')
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  child.once('error', (cause) => end(new CodedError('overloaded', 'start the reader', { cause })))
  child.stdin.on('error', () => undefined)
  const interrupt = (): void => end(new CodedError('closed', 'import: it was interrupted'))
  signal.addEventListener('abort', interrupt, { once: true })
  if (signal.aborted) interrupt()
  const late = clock.after(limits.withinMs, () =>
    end(tooMuch(`takes longer than ${limits.withinMs / 1000} s`)),
  )
  const look = setInterval(() => {
    void memoryMib(child.pid).then((mib) => {
      if (mib > limits.memoryMib) end(tooMuch(`takes more than ${limits.memoryMib} MiB of memory`))
    })
  }, limits.lookEveryMs)
  try {
    const fed = feed(child, ended, bytes, { ...ask, bytesMax: IMPORT_BYTES_MAX }).catch((error: unknown) => {
      child.kill('SIGKILL')
      throw error
    })
    // Its words decide; what it was not sent any more does not matter.
    const said = await Promise.race([listen(child), fed.then(() => new Promise<never>(() => undefined))])
    if (why) throw why
    return said ?? fail()
  } catch (error) {
    if (why) throw why
    throw hasCode(error, 'bad_bytes') ? tooMuch('gives what is no state') : error
  } finally {
    clearInterval(look)
    late()
    signal.removeEventListener('abort', interrupt)
    child.kill('SIGKILL')
    await ended
  }
}

const tooMuch = (what: string): CodedError => new CodedError('bad_import', `import: reading it ${what}`)
/** It ended by itself: V8 does when its heap is full. */
const fail = (): never => {
  throw tooMuch('takes more memory than there is for one, or ends its reader')
}

async function feed(
  child: Child,
  ended: Promise<void>,
  bytes: AsyncIterable<Uint8Array>,
  ask: Ask,
): Promise<void> {
  const { stdin } = child
  let left = ask.bytesMax
  stdin.write(`${JSON.stringify(ask)}\n`)
  for await (const piece of bytes) {
    left -= piece.length
    if (left < 0) throw new CodedError('bad_import', 'import: it is too large')
    // It refused what it saw so far; its words are on their way.
    if (stdin.destroyed || child.exitCode !== null || child.signalCode !== null) return
    if (!stdin.write(piece)) await Promise.race([once(stdin, 'drain').catch(() => []), ended])
  }
  stdin.end()
}

async function listen(child: Child): Promise<Read | undefined> {
  const chunks: Chunk[] = []
  let packedBytes = 0
  let lastName = ''
  for await (const { kind, bytes } of framesOf(child.stdout, PACKED_BYTES_MAX)) {
    if (kind === FRAMES.chunk) {
      packedBytes += bytes.length
      if (packedBytes > PACKED_BYTES_MAX) throw new CodedError('bad_bytes', 'read a state: it is too large')
      const names = [...readForeignChunk(bytes).keys()]
      for (const name of names) {
        if (name <= lastName || name.length > NAME_LENGTH_MAX)
          throw new CodedError('bad_bytes', 'read a state: its records are in no order')
        lastName = name
      }
      const [firstKey] = names
      // Its own bytes: the frame is a view into what was received with it.
      if (firstKey !== undefined) chunks.push({ firstKey, packed: new Uint8Array(bytes) })
      continue
    }
    if (bytes.length > WORDS_BYTES_MAX) throw new CodedError('bad_bytes', 'read a state: too many words')
    const said = JSON.parse(bytes.toString('utf8')) as {
      code?: string
      message?: string
      warnings?: string[]
    }
    if (kind === FRAMES.done) return { records: new RecordMap(chunks), warnings: said.warnings ?? [] }
    if (said.code === 'bad_import' || said.code === 'wrong_passphrase')
      throw new CodedError(said.code, String(said.message))
    return undefined
  }
  return undefined
}

/** 0 where nobody tells, which is everywhere but on Linux: the limits of the heap and of the time hold there. */
async function memoryMib(pid: number | undefined): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) / 1024
}
