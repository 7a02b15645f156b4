import { CodedError } from '#shared/errors.ts'

/** Ten recipients of the largest kind (post-quantum, 1.6 KB each); age's own files for one have 200 bytes. */
export const HEADER_BYTES_MAX = 16 * 1024
/** Each costs the one who opens it a multiplication on the curve. */
const STANZAS_MAX = 32
/** 64 MiB and some tenths of a second; age itself writes 18. docs/design/state.md §6.8. */
export const WORK_FACTOR_MAX = 16

const MAGIC = 'age-encryption.org/v1\n'
/** The line with the seal of the header is its last: age-encryption.org/v1, "Header". */
const LAST_LINE = '\n--- '

/** Also of one that is damaged behind its first line. */
export const isAgeFile = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MAGIC.length)).toString('latin1') ===
  MAGIC

/** Where the header of an age file ends. Undefined: not within these bytes. */
export function headerEnd(bytes: Buffer): number | undefined {
  const last = bytes.indexOf(LAST_LINE)
  const end = last < 0 ? -1 : bytes.indexOf('\n', last + 1)
  return end < 0 ? undefined : end + 1
}

/**
 * How a file is sealed, by its header, before anything is done for it.
 * @throws CodedError `bad_age_file`: no age file, or one that would cost too much to open
 */
export function judgeHeader(bytes: Buffer): 'passphrase' | 'recipients' {
  const header = bytes.toString('latin1')
  if (header.startsWith('-----BEGIN AGE')) throw badFile('it is armored; seal it without armor')
  if (!header.startsWith(MAGIC)) throw badFile('this is no age file')
  if (headerEnd(bytes) === undefined)
    throw badFile(`its header does not end within ${HEADER_BYTES_MAX} bytes`)
  const stanzas = header
    .split('\n')
    .filter((line) => line.startsWith('-> '))
    .map((line) => line.split(' '))
  if (stanzas.length > STANZAS_MAX) throw badFile(`it has more than ${STANZAS_MAX} recipients`)
  const [scrypt] = stanzas.filter(([, kind]) => kind === 'scrypt')
  if (!scrypt) return 'recipients'
  if (stanzas.length > 1) throw badFile('a passphrase must be the only recipient')
  const workFactor = scrypt[3] ?? ''
  if (!/^[1-9]\d?$/.test(workFactor)) throw badFile('its work factor is no number')
  if (Number(workFactor) > WORK_FACTOR_MAX)
    throw badFile(`its work factor is ${workFactor}; at most ${WORK_FACTOR_MAX} is opened`)
  return 'passphrase'
}

export const badFile = (why: string): CodedError => new CodedError('bad_age_file', `open an age file: ${why}`)
