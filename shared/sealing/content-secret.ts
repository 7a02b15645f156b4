import assert from 'node:assert/strict'
import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { open, seal, type OpenKey } from '#shared/envelope.ts'
import { CodedError } from '#shared/errors.ts'

/**
 * The secret that both programs have, in versions, and the keys that come from it: for what an application may read anyway
 * (message bodies, media, webhook secrets, links, cookies, ids), never for credentials. Each key is of one tenant and one
 * use; without the tenant's salt it can't be made again, so what was sealed is gone when the salt is.
 */
export interface ContentSecret {
  /** Sealed with the newest version, bound to `aad`: the place where it is stored. */
  seal(plaintext: Uint8Array, use: KeyUse, aad: string): Uint8Array
  /** @throws CodedError `bad_bytes`: moved, changed, of another tenant or use, or sealed with a version that is not there */
  open(sealed: Uint8Array, use: KeyUse, aad: string): Uint8Array
  /** For signatures and names made with a key: sign with the first, try all. Newest first, 32 bytes each, at least one. */
  keys(use: KeyUse): readonly Uint8Array[]
}

interface KeyUse {
  /** Of the tenant, from `newTenantSalt`. */
  salt: Uint8Array
  /** What for: a-z and dashes. No two uses share one. */
  label: string
}

/** Shorter text has too little in it. As MOORING_KEY. */
const SECRET_LENGTH_MIN = 32
/** Every version is tried where a signature is checked. */
export const VERSIONS_MAX = 8
const SALT_BYTES = 32
const KEY_BYTES = 32
/** As envelopes want it: eight characters that say which version it was. */
const ID_CHARACTERS = 8
/** Deriving takes some 10 µs; a thousand tenants with a few uses each are at hand. */
const CACHED_MAX = 5_000

export const newTenantSalt = (): Uint8Array => randomBytes(SALT_BYTES)

/**
 * @param text one secret of at least 32 characters; during a rotation several with commas between them, newest first
 * @throws CodedError `config`
 */
export function readContentSecret(text: string): ContentSecret {
  const secrets = text.split(',').map((each) => each.trim())
  if (secrets.some((secret) => secret.length < SECRET_LENGTH_MIN))
    throw new CodedError('config', `each content secret must hold at least ${SECRET_LENGTH_MIN} characters`)
  if (secrets.length > VERSIONS_MAX)
    throw new CodedError('config', `there are more than ${VERSIONS_MAX} content secrets`)
  const versions = secrets.map((secret) => ({ id: idOf(secret), secret }))
  if (new Set(versions.map(({ id }) => id)).size < versions.length)
    throw new CodedError('config', 'two content secrets are the same')
  const cached = new LRUCache<string, readonly OpenKey[]>({ max: CACHED_MAX })

  function keysOf({ salt, label }: KeyUse): readonly OpenKey[] {
    assert(salt.length === SALT_BYTES && /^[a-z-]+$/.test(label), 'a key has a whole salt and a label')
    const name = `${Buffer.from(salt).toString('base64')}|${label}`
    const known = cached.get(name)
    if (known) return known
    const made = versions.map(({ id, secret }) => {
      const bytes = hkdfSync('sha256', secret, salt, `mooring content v1|${label}`, KEY_BYTES)
      return { id, bytes: new Uint8Array(bytes) }
    })
    cached.set(name, made)
    return made
  }

  return {
    seal(plaintext, use, aad) {
      const [newest] = keysOf(use)
      assert(newest, 'there is a content secret')
      return seal(newest, plaintext, aad)
    },
    open: (sealed, use, aad) => open((id) => keysOf(use).find((key) => key.id === id), sealed, aad),
    keys: (use) => keysOf(use).map(({ bytes }) => bytes),
  }
}

const idOf = (secret: string): string =>
  createHmac('sha256', secret).update('mooring content secret id').digest('base64url').slice(0, ID_CHARACTERS)
