import { accountLid, accountOf, accountPn, addressLike, deviceOf, lidOf, pnOf } from './accounts.ts'
import { isGroup, isLid } from './address.ts'
import { deliver } from './deliver.ts'
import { child, children, seconds, stanza, type Attributes, type Stanza } from './stanza.ts'
import { note, type Account, type Device, type Group, type SentRecord, type World } from './world.ts'

/** Children of a message that go to every recipient as they came. */
const PASSED_ON = new Set(['device-identity', 'meta', 'reporting', 'biz', 'multicast', 'bot'])

/** One copy of a message: for whom, and what only that device gets. */
interface Copy {
  readonly device: Device
  readonly encrypted: readonly Stanza[]
}

/**
 * Takes a message from a device, acknowledges it, and hands every recipient device its own ciphertext.
 *
 * A second message with an id the sender used before is acknowledged like the first, but only devices that asked for
 * it again get it; anything else is a duplicate, is counted, and goes nowhere. (On the real network receivers drop it.)
 */
export function acceptMessage(world: World, sender: Device, message: Stanza, seenAtNs: bigint): void {
  const { id = '', to = '', type } = message.attrs
  const refusal = sender.line && world.faults.use('nack', sender.line)
  if (refusal) {
    sender.ledger.refused++
    acknowledge(sender, { id, from: to, type, error: String(refusal.error) })
    return
  }
  const before = sender.sent.get(id)
  const record = before ?? { to, got: new Set<Device>(), wanted: new Set<Device>() }
  const duplicate = before !== undefined && before.wanted.size === 0
  const fanOut = !isDirect(message)
  sender.sent.set(id, record)
  sender.ledger.accepted++
  if (duplicate) sender.ledger.duplicates++
  else if (before) sender.ledger.resends++
  note(world.log.messages, {
    id,
    from: pnOf(sender),
    to,
    seenAtNs: seenAtNs.toString(),
    at: Date.now(),
    duplicate,
  })
  acknowledge(sender, { id, from: to, type })

  const copies = copiesOf(world, sender, message)
  if (!before) sender.ledger.leftOut += leftOut(world, sender, message, copies)
  const common = children(message).filter(({ tag }) => PASSED_ON.has(tag))
  for (const { device, encrypted } of copies) {
    if (device === sender || !mayGet(record, device, fanOut)) continue
    deliver(
      world,
      device,
      stanza('message', attributesFor(world, sender, message, device), [...encrypted, ...common]),
    )
  }
}

function acknowledge(sender: Device, attributes: Attributes): void {
  sender.line?.send(stanza('ack', { class: 'message', t: seconds(), ...attributes }))
  if (sender.line && attributes['error'] === undefined) sender.ledger.acked++
}

/**
 * First copies always; another one only for a device that asked. rc14 answers a phone's request by writing to all
 * devices once more, and those must not take this for the answer to a request of their own, which follows directly.
 */
function mayGet(record: SentRecord, device: Device, fanOut: boolean): boolean {
  if (record.got.has(device)) return (!fanOut || device.id === 0) && record.wanted.delete(device)
  record.got.add(device)
  return true
}

/**
 * Is the message for the one device it names? So are answers to a retry and messages between one's own devices. rc14
 * adds a list of participants to such an answer as well, with the same device encrypted once more.
 */
function isDirect(message: Stanza): boolean {
  if (message.attrs['participant'] !== undefined) return true
  return !isGroup(message.attrs['to']) && child(message, 'enc') !== undefined
}

function copiesOf(world: World, sender: Device, message: Stanza): Copy[] {
  const { to = '', participant } = message.attrs
  // Status updates, broadcasts and newsletters are taken and go nowhere.
  if (!isGroup(to) && !accountOf(world, to)) return []
  const shared = children(message, 'enc')
  if (isDirect(message)) {
    const device = deviceOf(world, participant ?? to)
    return device ? [{ device, encrypted: shared }] : []
  }
  const own = children(child(message, 'participants'), 'to')
  const group = world.groups.get(to)
  if (group) return groupCopies(world, sender, group, own, shared)
  return own.flatMap((recipient) => {
    const device = deviceOf(world, recipient.attrs['jid'])
    return device ? [{ device, encrypted: children(recipient, 'enc') }] : []
  })
}

/** Every device of every member gets the group's ciphertext; those named also get the sender key, which comes first. */
function groupCopies(
  world: World,
  sender: Device,
  group: Group,
  own: readonly Stanza[],
  shared: readonly Stanza[],
): Copy[] {
  const keys = new Map(own.map((to) => [deviceOf(world, to.attrs['jid']), children(to, 'enc')]))
  return [...group.participants]
    .flatMap((account) => [...account.devices.values()])
    .filter((device) => device !== sender)
    .map((device) => ({ device, encrypted: [...(keys.get(device) ?? []), ...shared] }))
}

/** Devices of a chat between two people that the sender forgot. */
function leftOut(world: World, sender: Device, message: Stanza, copies: readonly Copy[]): number {
  if (isDirect(message) || isGroup(message.attrs['to'])) return 0
  const chat = new Set([sender.account, accountOf(world, message.attrs['to'])])
  const due = [...chat].flatMap((account) => (account ? [...account.devices.values()] : []))
  const reached = new Set(copies.map(({ device }) => device))
  return due.filter((device) => device !== sender && !reached.has(device)).length
}

/** What the recipient reads about the message. The sender appears in the form in which the chat was addressed. */
function attributesFor(world: World, sender: Device, message: Stanza, recipient: Device): Attributes {
  const { id, to = '', type, category, push_priority } = message.attrs
  const common = { id, type, t: seconds(), notify: sender.account.name, category, push_priority }
  if (isGroup(to)) {
    return {
      ...common,
      from: to,
      participant: lidOf(sender),
      participant_pn: accountPn(sender.account),
      addressing_mode: 'lid',
    }
  }
  const from = addressLike(to, sender)
  if (recipient.account !== sender.account)
    return { ...common, from, ...otherForm(to, sender.account, 'sender') }
  // To one's own devices the chat is named; a message of a phone to its companion (`peer`) has none.
  const chat = message.attrs['recipient'] ?? to
  if (category === 'peer') return { ...common, from }
  const peer = accountOf(world, chat)
  return { ...common, from, recipient: chat, ...(peer ? otherForm(chat, peer, 'peer_recipient') : {}) }
}

function otherForm(address: string, account: Account, prefix: 'sender' | 'peer_recipient'): Attributes {
  return isLid(address)
    ? { [`${prefix}_pn`]: accountPn(account) }
    : { [`${prefix}_lid`]: accountLid(account) }
}
