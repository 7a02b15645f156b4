import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { dataKeys } from '#runner/state/data-keys.ts'
import { decodeValue, splitRecordKey } from '#runner/state/record.ts'
import { rehydrate } from '#runner/state/rehydrate.ts'
import { fileWorkingCopies } from '#runner/state/working-copy.ts'
import { systemClock } from '#shared/clock.ts'
import { readConfig } from '#shared/config.ts'
import { keyOf, type SessionName } from '#shared/ids.ts'
import { openStores } from '#shared/open-stores.ts'
import { systemRandom } from '#shared/random.ts'

/** A secret of a session, and where it stands in its state. */
export interface Secret {
  readonly name: string
  readonly bytes: Buffer
}

/** Shorter values are counters, ids and flags. */
const SECRET_BYTES_MIN = 16
/** Names under which libsignal, Baileys and WhatsApp keep what is public, or an index to something. */
const PUBLIC =
  /^(public|pubKey|.*signature.*|identifierKey|remoteIdentityKey|lastRemoteEphemeralKey|baseKey|details|keyId|routingInfo|.*hash)$/i
/** The pre-keys are 812 alike. */
const PRE_KEYS = 24

/** Opens a session's state as its runner would, and answers everything secret in it. Only while no process runs on it. */
export async function secretsOf(dataDir: string, name: SessionName): Promise<Secret[]> {
  const stores = await openStores(readConfig({ MOORING_DATA_DIR: dataDir }), {
    clock: systemClock,
    random: systemRandom,
  })
  const scratch = join(dataDir, '..', 'scratch')
  try {
    const session = await stores.sessions.find(name)
    if (!session) throw new Error(`there is no session ${name}`)
    const key = keyOf(session)
    const log = pino({ level: 'silent' })
    const ring = await dataKeys({ stores, clock: systemClock, random: systemRandom }).ring(key, session)
    const workingCopies = fileWorkingCopies(scratch, log)
    const { records } = await rehydrate({ stores, workingCopies, log }, key, ring, [])
    await workingCopies.settle()
    const secrets: Secret[] = [{ name: 'data key', bytes: Buffer.from(ring.current.bytes) }]
    let preKeys = 0
    for (const [name, bytes] of records.entries()) {
      const { type } = splitRecordKey(name)
      if (type === 'pre-key' && preKeys++ > PRE_KEYS) continue
      secrets.push(...secretsIn(decodeValue(bytes), name))
    }
    return secrets
  } finally {
    await stores.close()
    await rm(scratch, { recursive: true, force: true })
  }
}

function secretsIn(value: unknown, name: string): Secret[] {
  if (PUBLIC.test(name.slice(name.lastIndexOf('.') + 1))) return []
  if (value instanceof Uint8Array) {
    return value.length < SECRET_BYTES_MIN ? [] : [{ name, bytes: Buffer.from(value) }]
  }
  if (typeof value === 'string') return isBase64(value) ? [{ name, bytes: Buffer.from(value, 'base64') }] : []
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([field, inner]) => secretsIn(inner, `${name}.${field}`))
}

const isBase64 = (text: string): boolean =>
  /^[A-Za-z0-9+/]{22,}={0,2}$/.test(text) && Buffer.from(text, 'base64').length >= SECRET_BYTES_MIN

/** The forms in which a secret could lie somewhere: raw, hex, and base64 at each of the three places it can begin at. */
function needles({ bytes }: Secret): Buffer[] {
  const hex = bytes.toString('hex')
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    // The first and last letters also depend on the neighbours.
    return text.slice(offset === 0 ? 0 : offset + 1, text.length - 1)
  })
  const texts = [hex, hex.toUpperCase(), ...base64, ...base64.map(urlSafe)]
  return [bytes, ...[...new Set(texts)].map((text) => Buffer.from(text))]
}

const urlSafe = (text: string): string => text.replaceAll('+', '-').replaceAll('/', '_')

/** The secrets that are to be read in some bytes, by name. */
export function readable(secrets: readonly Secret[], hay: Buffer): string[] {
  return secrets
    .filter((secret) => needles(secret).some((needle) => hay.includes(needle)))
    .map(({ name }) => name)
}

/** Every file below a folder, with its content. */
export async function filesBelow(folder: string): Promise<{ path: string; content: Buffer }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return Promise.all(paths.map(async (path) => ({ path, content: await readFile(path) })))
}
