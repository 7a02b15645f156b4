import { isLid, jid, LID_SERVER, lidUser, parseJid, PHONE_SERVER } from './address.ts'
import { newKeyPair } from './curve.ts'
import { emptyLedger } from './ledger.ts'
import { queue } from './queue.ts'
import { bigEndian, seconds, stanza, type Stanza } from './stanza.ts'
import type { Account, Device, KeyShelf, World } from './world.ts'

/** WhatsApp's help pages: a phone and at most four linked devices. */
export const COMPANIONS_MAX = 4
/** Device ids are one byte on the wire, and 99 means a hosted device. */
const DEVICE_ID_MAX = 255
const HOSTED_DEVICE = 99

export const pnOf = (device: Device): string => jid(device.account.phone, PHONE_SERVER, device.id)
export const lidOf = (device: Device): string => jid(device.account.lid, LID_SERVER, device.id)
export const accountPn = (account: Account): string => jid(account.phone, PHONE_SERVER)
export const accountLid = (account: Account): string => jid(account.lid, LID_SERVER)

/** A device's own jid in the form that the other side used: hidden identities are answered with hidden identities. */
export const addressLike = (model: string | undefined, device: Device): string =>
  isLid(model) ? lidOf(device) : pnOf(device)

/** The account of a phone number, made with a phone (device 0) when it does not exist yet. */
export function openAccount(world: World, phone: string, name: string): Account {
  const known = world.accounts.get(phone)
  if (known) return known
  const account: Account = {
    phone,
    lid: lidUser(phone),
    name,
    identity: newKeyPair(),
    devices: new Map(),
    nextDevice: 1,
    companionsMax: 0,
    watchers: new Set(),
  }
  world.accounts.set(phone, account)
  world.byLid.set(account.lid, account)
  return account
}

/** Whose jid this is, by phone number or hidden identity. */
export function accountOf(world: World, address: string | undefined): Account | undefined {
  const parsed = parseJid(address)
  if (!parsed) return undefined
  return parsed.server === LID_SERVER ? world.byLid.get(parsed.user) : world.accounts.get(parsed.user)
}

/** The linked device a jid names. */
export function deviceOf(world: World, address: string | undefined): Device | undefined {
  return accountOf(world, address)?.devices.get(parseJid(address)?.device ?? 0)
}

export function companions(account: Account): Device[] {
  return [...account.devices.values()].filter(({ id }) => id !== 0)
}

/** Makes a device without linking it; `addDevice` does that. Ids are never used twice. */
export function newDevice(
  account: Account,
  made: { id: number; platform: string; noiseKey?: Buffer; keys?: KeyShelf },
): Device {
  return {
    account,
    id: made.id,
    keyIndex: made.id,
    createdAt: Date.now(),
    lastSeen: Date.now(),
    platform: made.platform,
    noiseKey: made.noiseKey,
    keys: made.keys,
    simulated: undefined,
    queue: queue(),
    line: undefined,
    sent: new Map(),
    askedForKeys: false,
    welcomed: false,
    ledger: emptyLedger(),
  }
}

/** The id the account's next companion gets. */
export function nextDeviceId(account: Account): number {
  if (account.nextDevice === HOSTED_DEVICE) account.nextDevice++
  if (account.nextDevice > DEVICE_ID_MAX) throw new Error('the account has used up its device ids')
  return account.nextDevice++
}

/** Links the device. */
export function addDevice(world: World, device: Device): void {
  const { account } = device
  account.devices.set(device.id, device)
  account.companionsMax = Math.max(account.companionsMax, companions(account).length)
  world.everyDevice.set(pnOf(device), device)
}

/** The notification that a device came or went, for everyone who knows the account's devices. */
export function deviceNotice(device: Device, change: 'add' | 'remove'): Stanza {
  const { account } = device
  return stanza(
    'notification',
    {
      id: notificationId(),
      from: accountPn(account),
      lid: accountLid(account),
      type: 'devices',
      t: seconds(),
    },
    [
      stanza(change, { device_hash: `2:${bigEndian(account.devices.size, 4).toString('base64')}` }, [
        stanza('device', { jid: pnOf(device), lid: lidOf(device), 'key-index': String(device.keyIndex) }),
      ]),
    ],
  )
}

let notifications = 0

/** Ids of stanzas that the server starts itself. */
export function notificationId(): string {
  return `${1_000_000 + notifications++}`
}
