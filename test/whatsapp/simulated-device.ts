import { extractE2ESessionFromRetryReceipt, type proto } from '@whiskeysockets/baileys'
import { accountPn, deviceOf, lidOf, pnOf } from './accounts.ts'
import { newKeyPair, type KeyPair } from './curve.ts'
import { encrypting } from './encrypting.ts'
import { openMessage, retryRequest, type Opened } from './opening.ts'
import { acceptReceipt } from './receipts.ts'
import { acceptMessage } from './relay.ts'
import { signalMemory, type SignalMemory } from './signal-memory.ts'
import { child, seconds, stanza, type Attributes, type Stanza } from './stanza.ts'
import { note, type Account, type Device, type Group, type Simulated, type World } from './world.ts'

/** A text that a simulated device has decrypted. */
export interface ReceivedText extends Opened {
  readonly at: number
  /** The device number that received it; 0 is the phone. */
  readonly device: number
  /** True for what another device of the same account wrote. */
  readonly fromMe: boolean
  /** How often it came. More than once means that the sender sent it twice. */
  copies: number
}

/** A device that the server plays itself, with real Signal state: a phone, or one of its companions. */
export interface SimulatedDevice extends Simulated {
  readonly received: readonly ReceivedText[]
  /** Sends a text to a person; resolves when the server has it. */
  sendText(to: Account, text: string, id: string): Promise<void>
  sendToGroup(group: Group, text: string, id: string): Promise<void>
  /** A message of a phone to one of its own companions that is no chat: keys, history. */
  sendPeer(to: Device, message: proto.IMessage, id: string): Promise<void>
  /** Sends whatever it likes to a person, whether true or not. */
  forge(to: Account, message: proto.IMessage, id: string): Promise<void>
  /** Says of any message whatsoever that it has it or read it, or asks for it again, with keys for a new session. */
  forgeReceipt(to: Device, id: string, type: 'read' | 'delivered' | 'retry'): Promise<void>
  /** Forgets its session with another device, as if its storage had been restored. */
  forget(other: Device): Promise<void>
}

/** As often as rc14 (`maxMsgRetryCount`). */
const RESENDS_MAX = 5
const REMEMBERED_MAX = 20_000

const simulated = new WeakMap<Device, SimulatedDevice>()

/** The simulation behind a device, if there is one. */
export function simulatedOf(device: Device | undefined): SimulatedDevice | undefined {
  return device && simulated.get(device)
}

/**
 * Lets the server play this device. Its keys are made when they are first needed, so a phone that never talks costs
 * nothing. It works through what it sends and receives strictly one after the other.
 */
export function simulate(world: World, device: Device): SimulatedDevice {
  let made: SignalMemory | undefined
  const memory = (): SignalMemory => (made ??= signalMemory(identityOf(device)))
  const encrypt = encrypting(world, device, memory)
  const inbox = textInbox(device)
  const sent = new Map<string, { to: string; message: proto.IMessage }>()
  const haveGroupKey = new Map<string, Set<Device>>()
  const resends = counter()
  const requests = counter()
  let last: Promise<unknown> = Promise.resolve()

  const inOrder = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work, work)
    last = next.catch(() => undefined)
    return next
  }
  const trouble = (error: unknown): void => note(world.log.troubles, `${pnOf(device)}: ${String(error)}`)

  const send = (attributes: Attributes, content: Stanza[]): void =>
    acceptMessage(
      world,
      device,
      stanza('message', { type: 'text', ...attributes }, content),
      process.hrtime.bigint(),
    )

  const remember = (id: string, to: string, message: proto.IMessage): void => {
    sent.set(id, { to, message })
    if (sent.size > REMEMBERED_MAX) sent.delete(sent.keys().next().value ?? '')
  }

  const takeMessage = async (message: Stanza): Promise<void> => {
    const { id = '', from, participant, recipient } = message.attrs
    const author = deviceOf(world, participant ?? from)
    if (!author) return
    const opened = await openMessage(memory().repository, author, message).catch(() => 'not for me' as const)
    if (opened === 'not for me') {
      const count = requests(`${id} ${pnOf(author)}`)
      if (count > RESENDS_MAX) return
      acceptReceipt(world, device, retryRequest(message, count, memory().shelf, memory().newPreKey()))
      return
    }
    if (opened) inbox.keep(opened, author.account === device.account)
    const own = recipient === undefined ? {} : { type: 'sender', recipient }
    acceptReceipt(world, device, stanza('receipt', { id, to: from, participant, ...own, t: seconds() }))
  }

  const resend = async (receipt: Stanza): Promise<void> => {
    const { id = '', from, participant } = receipt.attrs
    const other = deviceOf(world, participant ?? from)
    const known = sent.get(id)
    if (!other || !known || resends(`${id} ${pnOf(other)}`) > RESENDS_MAX) return
    // Whatever session there was has failed: the receipt's own keys start a new one, or a fresh bundle does.
    const session = extractE2ESessionFromRetryReceipt(receipt)
    if (session) {
      const { preKey, ...rest } = session
      const complete = preKey ? { ...rest, preKey } : rest
      await memory().repository.injectE2ESession({ jid: lidOf(other), session: complete })
    } else {
      await encrypt.startSession(other)
    }
    const count = { count: child(receipt, 'retry')?.attrs['count'] ?? '1' }
    const group = world.groups.get(known.to)
    if (group) {
      const message = { ...known.message, ...(await encrypt.groupKey(group)) }
      send({ id, to: group.id, participant: lidOf(other) }, await encrypt.forDevice(other, message, count))
    } else if (other.account === device.account) {
      const message = { deviceSentMessage: { destinationJid: known.to, message: known.message } }
      send({ id, to: pnOf(other), recipient: known.to }, await encrypt.forDevice(other, message, count))
    } else {
      const copy = await encrypt.forDevice(other, known.message, count)
      send({ id, to: pnOf(other), device_fanout: 'false' }, copy)
    }
  }

  const sendText = async (to: Account, text: string, id: string): Promise<void> => {
    const message = { conversation: text }
    const chat = accountPn(to)
    const own = { deviceSentMessage: { destinationJid: chat, message } }
    const others = new Set([...to.devices.values(), ...device.account.devices.values()])
    others.delete(device)
    const copies = await encrypt.forEach([...others], ({ account }) =>
      account === device.account ? own : message,
    )
    remember(id, chat, message)
    send({ id, to: chat }, [stanza('participants', {}, copies)])
  }

  const sendToGroup = async (group: Group, text: string, id: string): Promise<void> => {
    const message = { conversation: text }
    const { encrypted, key } = await encrypt.forGroup(group, message)
    const have = haveGroupKey.get(group.id) ?? new Set([device])
    haveGroupKey.set(group.id, have)
    const all = [...group.participants].flatMap(({ devices }) => [...devices.values()])
    const without = all.filter((other) => !have.has(other))
    const copies = await encrypt.forEach(without, () => key)
    for (const other of without) have.add(other)
    remember(id, group.id, message)
    const keys = copies.length ? [stanza('participants', {}, copies)] : []
    send({ id, to: group.id, addressing_mode: 'lid' }, [...keys, encrypted])
  }

  const sendPeer = async (to: Device, message: proto.IMessage, id: string): Promise<void> => {
    const attributes = { id, to: pnOf(to), category: 'peer', push_priority: 'high' }
    send(attributes, await encrypt.forDevice(to, message))
  }

  const forge = async (to: Account, message: proto.IMessage, id: string): Promise<void> => {
    const copies = await encrypt.forEach([...to.devices.values()], () => message)
    send({ id, to: accountPn(to) }, [stanza('participants', {}, copies)])
  }

  const forgeReceipt = (to: Device, id: string, type: 'read' | 'delivered' | 'retry'): void => {
    const never = stanza('message', { id, from: pnOf(to), t: seconds() })
    const kind = type === 'delivered' ? {} : { type }
    const receipt = stanza('receipt', { id, to: pnOf(to), ...kind, t: seconds() })
    acceptReceipt(
      world,
      device,
      type === 'retry' ? retryRequest(never, 1, memory().shelf, memory().newPreKey()) : receipt,
    )
  }

  const simulation: SimulatedDevice = {
    received: inbox.texts,
    shelf: () => memory().shelf,
    newPreKey: () => memory().newPreKey(),
    receive(node) {
      if (node.tag === 'message') inOrder(() => takeMessage(node)).catch(trouble)
      else if (node.attrs['type'] === 'retry') inOrder(() => resend(node)).catch(trouble)
    },
    sendText: (to, text, id) => inOrder(() => sendText(to, text, id)),
    sendToGroup: (group, text, id) => inOrder(() => sendToGroup(group, text, id)),
    sendPeer: (to, message, id) => inOrder(() => sendPeer(to, message, id)),
    forge: (to, message, id) => inOrder(() => forge(to, message, id)),
    forgeReceipt: (to, id, type) => inOrder(async () => forgeReceipt(to, id, type)),
    forget: (other) => inOrder(async () => memory().forget(lidOf(other))),
  }
  simulated.set(device, simulation)
  device.simulated = simulation
  return simulation
}

/** The phone's identity is the account's; a companion has its own. */
function identityOf(device: Device): KeyPair {
  return device.id === 0 ? device.account.identity : newKeyPair()
}

/** Keeps what was read, each message once, and how often it came. */
function textInbox(device: Device) {
  const texts: ReceivedText[] = []
  const byId = new Map<string, ReceivedText>()
  return {
    texts,
    keep(opened: Opened, fromMe: boolean): void {
      const key = `${opened.from} ${opened.id}`
      const known = byId.get(key)
      if (known) {
        known.copies++
        return
      }
      const entry = { ...opened, fromMe, at: Date.now(), device: device.id, copies: 1 }
      byId.set(key, entry)
      texts.push(entry)
    },
  }
}

/** Counts how often each thing was said. */
function counter(): (thing: string) => number {
  const counts = new Map<string, number>()
  return (thing) => {
    const count = (counts.get(thing) ?? 0) + 1
    counts.set(thing, count)
    return count
  }
}
