import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  BufferJSON,
  generateSignalPubKey,
  proto,
  WA_ADV_DEVICE_SIG_PREFIX,
  type AuthenticationCreds,
  type SignalDataSet,
} from '@whiskeysockets/baileys'
import { addDevice, lidOf, newDevice, nextDeviceId, pnOf } from './accounts.ts'
import { newKeyPair, sign, type KeyPair } from './curve.ts'
import { deviceIdentity } from './linking.ts'
import { openPhone } from './phones.ts'
import { signedKeyOf } from './signal-memory.ts'
import { appStateKey } from './welcome.ts'
import type { Account, Device, World } from './world.ts'

export interface SeedWish {
  readonly count: number
  /** First digits of the phone numbers; a running number of six digits follows. */
  readonly prefix: string
  /** One-time keys per device. rc14 uploads 812 itself; fewer log in just as well as long as there are more than 5. */
  readonly preKeys: number
  /** Also write each session as a folder of `useMultiFileAuthState`, `<dir>/<phone>`. */
  readonly dir?: string | undefined
}

/** A paired session: what its client would have on disk. */
export interface SeededSession {
  readonly phone: string
  readonly jid: string
  /** `AuthenticationCreds` as text, written with `BufferJSON`. */
  readonly creds: string
  /** `SignalDataSet` as text, written with `BufferJSON`. */
  readonly keys: string
}

const SEED_DIGITS = 6

/**
 * Makes phones that already have one companion each, and gives out the companions' credentials. No connection is
 * made: the server knows what a pairing, a first login and a first sync would have left.
 */
export async function seed(world: World, wish: SeedWish): Promise<SeededSession[]> {
  const sessions: SeededSession[] = []
  for (let index = 0; index < wish.count; index++) {
    const phone = `${wish.prefix}${String(world.accounts.size).padStart(SEED_DIGITS, '0')}`
    const { device, creds, keys } = linkedCompanion(world, openPhone(world, phone), wish.preKeys)
    const session = {
      phone,
      jid: pnOf(device),
      creds: JSON.stringify(creds, BufferJSON.replacer),
      keys: JSON.stringify(keys, BufferJSON.replacer),
    }
    if (wish.dir !== undefined) await writeFolder(join(wish.dir, phone), session.creds, keys)
    sessions.push(session)
    // Seeding many is long; whoever is connected must not be kept waiting for all of it.
    await new Promise(setImmediate)
  }
  return sessions
}

function linkedCompanion(
  world: World,
  account: Account,
  preKeyCount: number,
): { device: Device; creds: AuthenticationCreds; keys: SignalDataSet } {
  const [noiseKey, identity] = [newKeyPair(), newKeyPair()]
  const signed = signedKeyOf(identity, 1)
  const registrationId = 1 + (randomBytes(2).readUInt16BE() % 0x3fff)
  const preKeys: Record<string, KeyPair> = {}
  for (let id = 1; id <= preKeyCount; id++) preKeys[id] = newKeyPair()
  const device = newDevice(account, {
    id: nextDeviceId(account),
    platform: 'web',
    noiseKey: noiseKey.public,
    keys: {
      registrationId,
      identity: identity.public,
      signedPreKey: { id: signed.keyId, value: signed.keyPair.public, signature: signed.signature },
      preKeys: new Map(Object.entries(preKeys).map(([id, pair]) => [Number(id), pair.public])),
    },
  })
  device.welcomed = true
  device.ledger.preKeysUploaded = preKeyCount
  addDevice(world, device)

  const { details, accountSignature } = deviceIdentity(account, device, identity.public)
  const accountSignatureKey = account.identity.public
  const deviceMessage = Buffer.concat([
    WA_ADV_DEVICE_SIG_PREFIX,
    details,
    identity.public,
    accountSignatureKey,
  ])
  const { keyId, keyData } = appStateKey(account)
  const appStateKeyId = Buffer.from(keyId?.keyId ?? []).toString('base64')
  const creds: AuthenticationCreds = {
    noiseKey,
    pairingEphemeralKeyPair: newKeyPair(),
    signedIdentityKey: identity,
    signedPreKey: signed,
    registrationId,
    advSecretKey: randomBytes(32).toString('base64'),
    me: { id: pnOf(device), lid: lidOf(device), name: account.name },
    account: proto.ADVSignedDeviceIdentity.create({
      details,
      accountSignatureKey,
      accountSignature,
      deviceSignature: sign(identity, deviceMessage),
    }),
    signalIdentities: [
      {
        identifier: { name: lidOf(device), deviceId: 0 },
        identifierKey: generateSignalPubKey(accountSignatureKey),
      },
    ],
    platform: 'android',
    processedHistoryMessages: [],
    nextPreKeyId: preKeyCount + 1,
    firstUnuploadedPreKeyId: preKeyCount + 1,
    accountSyncCounter: 1,
    accountSettings: { unarchiveChats: false },
    myAppStateKeyId: appStateKeyId,
    registered: false,
    pairingCode: undefined,
    lastPropHash: undefined,
    routingInfo: undefined,
    additionalData: undefined,
  }
  const keys: SignalDataSet = {
    'pre-key': preKeys,
    'app-state-sync-key': { [appStateKeyId]: proto.Message.AppStateSyncKeyData.create(keyData ?? {}) },
    'lid-mapping': { [account.phone]: account.lid, [`${account.lid}_reverse`]: account.phone },
    'device-list': { [account.phone]: [String(device.id)] },
  }
  return { device, creds, keys }
}

/** File names as `useMultiFileAuthState` makes them: `/` becomes `__` and `:` becomes `-`. */
async function writeFolder(folder: string, creds: string, keys: SignalDataSet): Promise<void> {
  await mkdir(folder, { recursive: true })
  const files = Object.entries(keys).flatMap(([kind, values]) =>
    Object.entries(values).map(([id, value]) => [
      `${kind}-${id}`,
      JSON.stringify(value, BufferJSON.replacer),
    ]),
  )
  for (const [name = '', text = ''] of [['creds', creds], ...files]) {
    await writeFile(join(folder, `${name.replaceAll('/', '__').replaceAll(':', '-')}.json`), text)
  }
}
