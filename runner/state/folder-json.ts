import { CodedError } from '#shared/errors.ts'

/** A folder of a busy account has thousands. */
const FILES_MAX = 100_000

const [QUOTE, COLON, COMMA, OPEN, CLOSE, BACKSLASH] = [0x22, 0x3a, 0x2c, 0x7b, 0x7d, 0x5c]
const isSpace = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/** True when the first thing is an object, as a folder in JSON is. */
export const looksLikeJson = (bytes: Uint8Array): boolean =>
  bytes[bytes.findIndex((byte) => !isSpace(byte))] === OPEN

/**
 * The files in `{"files": {name: base64, …}}`. Read file by file where they lie: as one value of JSON, 60 MiB of it would take
 * three times its size, most of it from the heap.
 * @throws CodedError `bad_import` for anything else, and for more files than a folder has
 */
export function readFolderJson(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const files = new Map<string, Uint8Array>()
  let at = 0
  const next = (): number | undefined => {
    while (isSpace(view[at])) at++
    return view[at]
  }
  const take = (byte: number): void => {
    if (next() !== byte) throw notOne()
    at++
  }
  /** The text that begins here, with its quotes. */
  const text = (): Buffer => {
    const start = at
    take(QUOTE)
    for (let from = at; ;) {
      const end = view.indexOf(QUOTE, from)
      if (end < 0) throw notOne()
      let slashes = 0
      while (view[end - 1 - slashes] === BACKSLASH && end - 1 - slashes >= at) slashes++
      if (slashes % 2 === 0) {
        const found = view.subarray(view.indexOf(QUOTE, start), end + 1)
        at = end + 1
        return found
      }
      from = end + 1
    }
  }

  take(OPEN)
  next()
  if (stringOf(text()) !== 'files') throw notOne()
  take(COLON)
  take(OPEN)
  if (next() !== CLOSE) {
    for (;;) {
      next()
      const name = stringOf(text())
      take(COLON)
      next()
      files.set(name, contentOf(text()))
      if (files.size > FILES_MAX)
        throw new CodedError('bad_import', `import: there are more than ${FILES_MAX} files`)
      if (next() !== COMMA) break
      at++
    }
  }
  take(CLOSE)
  take(CLOSE)
  if (next() !== undefined) throw notOne()
  return files
}

const stringOf = (quoted: Buffer): string => {
  try {
    return JSON.parse(quoted.toString('utf8')) as string
  } catch {
    throw notOne()
  }
}

/** Some encoders write `\/`, and base64 has many of those. */
function contentOf(quoted: Buffer): Uint8Array {
  const text = quoted.includes(BACKSLASH) ? stringOf(quoted) : quoted.toString('latin1', 1, quoted.length - 1)
  if (!isBase64(text)) throw new CodedError('bad_import', 'import: a file is not in base64')
  return Buffer.from(text, 'base64')
}

const isBase64 = (text: string): boolean => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)

const notOne = (): CodedError => new CodedError('bad_import', 'import: what was sent is no folder in JSON')
