import { addressLike, notificationId } from './accounts.ts'
import { deliver } from './deliver.ts'
import { bigEndian, bytes, child, children, number, seconds, SERVER, stanza, type Stanza } from './stanza.ts'
import type { Device, KeyShelf, PreKey, SignedPreKey, World } from './world.ts'

/** libsignal's key type byte. */
export const KEY_TYPE = Buffer.from([5])
/** Below this many keys the server asks for more; it is also the number below which rc14 answers the call. */
const LOW_COUNT = 5

/** What somebody needs to start a session with a device. */
export interface Bundle {
  readonly registrationId: number
  readonly identity: Buffer
  readonly signedPreKey: SignedPreKey
  readonly preKey: PreKey | undefined
}

/** Hands out a device's bundle. Its one-time key is gone afterwards; the last ones make the server ask for more. */
export function takeBundle(world: World, device: Device): Bundle | undefined {
  const shelf = device.simulated?.shelf() ?? device.keys
  if (!shelf) return undefined
  const { registrationId, identity, signedPreKey } = shelf
  const preKey = device.simulated ? device.simulated.newPreKey() : takePreKey(shelf)
  if (preKey) device.ledger.preKeysTaken++
  else device.ledger.bundlesWithoutPreKey++
  if (!device.simulated && shelf.preKeys.size < LOW_COUNT && !device.askedForKeys) {
    device.askedForKeys = true
    const notice = { from: SERVER, type: 'encrypt', id: notificationId(), t: seconds() }
    deliver(world, device, stanza('notification', notice, [countNode(shelf)]))
  }
  return { registrationId, identity, signedPreKey, preKey }
}

function takePreKey(shelf: KeyShelf): PreKey | undefined {
  for (const [id, value] of shelf.preKeys) {
    shelf.preKeys.delete(id)
    return { id, value }
  }
  return undefined
}

export function countNode(shelf: KeyShelf): Stanza {
  return stanza('count', { value: String(shelf.preKeys.size) })
}

/** Takes an upload: new one-time keys are added, one with a known id replaces it, the signed key is the new one. */
export function acceptPreKeys(device: Device, upload: Stanza): void {
  const shelf = device.keys
  if (!shelf) return
  const keys = children(child(upload, 'list'), 'key')
  for (const key of keys) shelf.preKeys.set(number(child(key, 'id')), bytes(child(key, 'value')))
  device.ledger.preKeysUploaded += keys.length
  device.askedForKeys = false
  const signed = child(upload, 'skey')
  if (signed) shelf.signedPreKey = signedPreKey(signed)
}

export function signedPreKey(node: Stanza): SignedPreKey {
  return {
    id: number(child(node, 'id')),
    value: bytes(child(node, 'value')),
    signature: bytes(child(node, 'signature')),
  }
}

/** The server's view of the device's keys. Baileys only looks whether there is one. */
export function digestNode(shelf: KeyShelf): Stanza {
  return stanza('digest', {}, [
    stanza('registration', {}, bigEndian(shelf.registrationId, 4)),
    stanza('type', {}, KEY_TYPE),
    stanza('identity', {}, shelf.identity),
    signedKeyNode(shelf.signedPreKey),
  ])
}

/** One `<user>` of a bundle answer, under the very jid that was asked for. */
export function bundleNode(world: World, asked: string, device: Device | undefined): Stanza {
  const bundle = device && takeBundle(world, device)
  if (!bundle) {
    return stanza('user', { jid: asked }, [stanza('error', { code: '404', text: 'item-not-found' })])
  }
  return stanza('user', { jid: addressLike(asked, device) }, [
    stanza('registration', {}, bigEndian(bundle.registrationId, 4)),
    stanza('type', {}, KEY_TYPE),
    stanza('identity', {}, bundle.identity),
    signedKeyNode(bundle.signedPreKey),
    ...(bundle.preKey ? [keyNode(bundle.preKey)] : []),
  ])
}

export function signedKeyNode(key: SignedPreKey): Stanza {
  return stanza('skey', {}, [
    stanza('id', {}, bigEndian(key.id, 3)),
    stanza('value', {}, key.value),
    stanza('signature', {}, key.signature),
  ])
}

export function keyNode(key: PreKey): Stanza {
  return stanza('key', {}, [stanza('id', {}, bigEndian(key.id, 3)), stanza('value', {}, key.value)])
}
