import { randomBytes } from 'node:crypto'
import { COMPANIONS_MAX, companions, addDevice, newDevice, nextDeviceId, openAccount } from './accounts.ts'
import { announce } from './linking.ts'
import { Refused } from './refused.ts'
import { simulate, simulatedOf, type SimulatedDevice } from './simulated-device.ts'
import type { Account, Device, World } from './world.ts'

/** Makes an account with a phone that the server plays. Calling it again gives the same one. */
export function openPhone(world: World, phone: string, name = `Phone ${phone}`): Account {
  if (!/^\d{5,15}$/.test(phone)) throw new Refused(400, 'bad_phone', 'a phone number is 5 to 15 digits')
  const account = openAccount(world, phone, name)
  if (!account.devices.has(0)) {
    const device = newDevice(account, { id: 0, platform: 'android' })
    addDevice(world, device)
    simulate(world, device)
  }
  return account
}

/** The account of a phone that exists. */
export function phoneOf(world: World, phone: string): Account {
  const account = world.accounts.get(phone.replace(/@.*$/, ''))
  if (!account) throw new Refused(404, 'phone_unknown', `there is no phone ${phone}`)
  return account
}

/** Adds a companion that the server plays: a peer with more than one device. */
export function addSimulatedCompanion(world: World, account: Account): Device {
  if (companions(account).length >= COMPANIONS_MAX) {
    throw new Refused(409, 'too_many_devices', `a phone links at most ${COMPANIONS_MAX} devices`)
  }
  const device = newDevice(account, { id: nextDeviceId(account), platform: 'simulated' })
  simulate(world, device)
  announce(world, device)
  return device
}

/** The simulated device with that number; the phone itself by default. */
export function simulatedDevice(account: Account, id = 0): SimulatedDevice {
  const found = simulatedOf(account.devices.get(id))
  if (!found) throw new Refused(404, 'not_simulated', `${account.phone} has no simulated device ${id}`)
  return found
}

/** An id like those that phones give their messages. */
export function messageId(): string {
  return `3A${randomBytes(9).toString('hex').toUpperCase()}`
}

/** Sends `count` texts, one every `everyMs`; resolves when the last is with the server. Ends early with the server. */
export async function burst(
  world: World,
  sender: SimulatedDevice,
  to: Account,
  wish: { ids: readonly string[]; everyMs: number; prefix: string },
): Promise<void> {
  let stopped = false
  const ended = Promise.withResolvers<void>()
  const stop = (): void => {
    stopped = true
    ended.resolve()
  }
  world.ends.add(stop)
  for (const [index, id] of wish.ids.entries()) {
    if (stopped) break
    const started = performance.now()
    await sender.sendText(to, `${wish.prefix}${index}`, id)
    // Encrypting never waits for anything, and a burst without pauses must not keep the network waiting.
    await new Promise(setImmediate)
    const pause = wish.everyMs - (performance.now() - started)
    if (pause > 0 && index < wish.ids.length - 1) {
      const timer = Promise.withResolvers<void>()
      const handle = setTimeout(timer.resolve, pause)
      await Promise.race([timer.promise, ended.promise])
      clearTimeout(handle)
    }
  }
  world.ends.delete(stop)
}
