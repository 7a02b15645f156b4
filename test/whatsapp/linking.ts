import { addDevice, companions, deviceNotice, lidOf, newDevice, nextDeviceId, pnOf } from './accounts.ts'
import { COMPANIONS_MAX } from './accounts.ts'
import { sign, verify } from './curve.ts'
import { deliver } from './deliver.ts'
import { createHmac } from 'node:crypto'
import { proto, WA_ADV_ACCOUNT_SIG_PREFIX, WA_ADV_DEVICE_SIG_PREFIX } from '@whiskeysockets/baileys'
import { bytes, child, SERVER, stanza, type Stanza } from './stanza.ts'
import { streamError } from './strike.ts'
import { Refused } from './refused.ts'
import type { Account, Device, Line, Registration, World } from './world.ts'

/** After this long without a countersignature the phone says that it could not link the device. */
const COUNTERSIGN_WITHIN_MS = 10_000

/**
 * Links a waiting client to an account, the part that QR and code have in common: the phone signs the companion's
 * identity, vouches for it with the secret both know, and waits for the companion's own signature. Only then does the
 * device exist; the client is told to come again (515).
 */
export async function link(world: World, account: Account, line: Line, advSecret: Buffer): Promise<Device> {
  const { registration } = line
  if (!registration || line.closed) throw new Refused(404, 'qr_unknown', 'nobody shows this code')
  if (companions(account).length >= COMPANIONS_MAX) {
    throw new Refused(409, 'too_many_devices', `a phone links at most ${COMPANIONS_MAX} devices`)
  }
  const device = newDevice(account, {
    id: nextDeviceId(account),
    platform: registration.platform,
    noiseKey: registration.noiseKey,
    keys: { ...registration.keys, preKeys: new Map() },
  })
  const { details, signed } = deviceIdentity(account, device, registration.keys.identity)
  const hmac = createHmac('sha256', advSecret).update(signed).digest()
  const identity = proto.ADVSignedDeviceIdentityHMAC.encode({ details: signed, hmac }).finish()
  const countersigned = Promise.withResolvers<void>()
  const timer = setTimeout(
    () => countersigned.reject(new Refused(504, 'not_countersigned', 'the client did not sign in time')),
    COUNTERSIGN_WITHIN_MS,
  )
  registration.linking = {
    device,
    details,
    done: (error) => (error ? countersigned.reject(error) : countersigned.resolve()),
  }
  line.send(
    stanza('iq', { from: SERVER, type: 'set', id: `pair${device.id}`, xmlns: 'md' }, [
      stanza('pair-success', {}, [
        stanza('device-identity', {}, identity),
        stanza('device', { jid: pnOf(device), lid: lidOf(device) }),
        stanza('platform', { name: 'android' }),
      ]),
    ]),
  )
  try {
    await countersigned.promise
  } finally {
    clearTimeout(timer)
    delete registration.linking
  }
  announce(world, device)
  line.registration = undefined
  streamError(line, { code: 515 })
  return device
}

/** Enters the device and tells everyone who knows this account's devices. */
export function announce(world: World, device: Device): void {
  addDevice(world, device)
  world.log.pairings++
  tellWatchers(world, device, 'add')
}

/** The client's answer to `pair-success`: its own signature over what the phone signed. */
export function acceptCountersignature(line: Line, answer: Stanza): void {
  const linking = line.registration?.linking
  const registration = line.registration
  if (!linking || !registration) return
  const signed = bytes(child(child(answer, 'pair-device-sign'), 'device-identity'))
  linking.done(countersignatureError(registration, linking.device.account, linking.details, signed))
}

function countersignatureError(
  registration: Registration,
  account: Account,
  details: Buffer,
  answer: Buffer,
): Error | undefined {
  if (!answer.length) return new Refused(502, 'not_countersigned', 'the client refused the pairing')
  const { deviceSignature } = proto.ADVSignedDeviceIdentity.decode(answer)
  const { identity } = registration.keys
  const message = Buffer.concat([WA_ADV_DEVICE_SIG_PREFIX, details, identity, account.identity.public])
  if (deviceSignature && verify(identity, message, deviceSignature)) return undefined
  return new Refused(502, 'bad_countersignature', 'the signature of the client does not verify')
}

/** The phone's statement about a companion, signed with the account's identity key. */
export function deviceIdentity(
  account: Account,
  device: Device,
  companion: Buffer,
): { details: Buffer; signed: Uint8Array; accountSignature: Buffer } {
  const statement = {
    rawId: Number(account.lid.slice(-9)),
    timestamp: Math.floor(device.createdAt / 1000),
    keyIndex: device.keyIndex,
    accountType: proto.ADVEncryptionType.E2EE,
    deviceType: proto.ADVEncryptionType.E2EE,
  }
  const details = Buffer.from(proto.ADVDeviceIdentity.encode(statement).finish())
  const message = Buffer.concat([WA_ADV_ACCOUNT_SIG_PREFIX, details, companion])
  const accountSignature = sign(account.identity, message)
  const accountSignatureKey = account.identity.public
  const signed = proto.ADVSignedDeviceIdentity.encode({
    details,
    accountSignatureKey,
    accountSignature,
  }).finish()
  return { details, signed, accountSignature }
}

/**
 * Takes a device off the account, as the phone does in its list of linked devices. Its connection ends with 401, its
 * queue is gone, its credentials are worth nothing from now on.
 */
export function unlink(world: World, device: Device): void {
  device.account.devices.delete(device.id)
  device.queue.clear()
  if (device.line) streamError(device.line, { code: 401, conflict: 'device_removed' })
  tellWatchers(world, device, 'remove')
}

function tellWatchers(world: World, device: Device, change: 'add' | 'remove'): void {
  const notice = deviceNotice(device, change)
  for (const account of new Set([device.account, ...device.account.watchers])) {
    for (const other of account.devices.values()) {
      if (other !== device && !other.simulated)
        deliver(world, other, { ...notice, attrs: { ...notice.attrs } })
    }
  }
}
