import { accountOf, addressLike, deviceOf, lidOf, pnOf } from './accounts.ts'
import { isGroup } from './address.ts'
import { deliver } from './deliver.ts'
import { child, children, seconds, stanza, type Stanza } from './stanza.ts'
import { note, type Device, type World } from './world.ts'

/** Receipts by which a device says that it has a message for good; `undefined` is the plain delivery receipt. */
const CONFIRMING = new Set([undefined, 'inactive', 'sender', 'peer_msg'])
/** Receipts that concern nobody but the device's own phone. */
const PRIVATE = new Set(['sender', 'peer_msg', 'hist_sync', 'server-error'])

/** Takes a receipt: it empties the device's queue and is passed on to whoever sent the message. */
export function acceptReceipt(world: World, device: Device, receipt: Stanza): void {
  const { id = '', type, to } = receipt.attrs
  device.line?.send(stanza('ack', { class: 'receipt', id, type, from: to, t: seconds() }))
  const ids = [id, ...children(child(receipt, 'list'), 'item').map((item) => item.attrs['id'] ?? '')]
  if (CONFIRMING.has(type)) for (const confirmed of ids) confirm(device, confirmed)
  if (type === 'retry') return passRetry(world, device, receipt)
  if (PRIVATE.has(type ?? '') || to === undefined) return
  const { participant } = receipt.attrs
  const account = accountOf(world, isGroup(to) ? participant : to)
  for (const recipient of account?.devices.values() ?? []) {
    if (recipient !== device) deliver(world, recipient, passedOn(receipt, device))
  }
}

function confirm(device: Device, id: string): void {
  // A simulated device confirms what never was in a queue.
  if (device.simulated || device.queue.confirm('message', id)) device.ledger.receipted++
}

/** Asks the one device that encrypted the message to do it again. */
function passRetry(world: World, device: Device, receipt: Stanza): void {
  const { id = '', to, participant } = receipt.attrs
  const sender = deviceOf(world, isGroup(to) ? participant : to)
  const count = Number(child(receipt, 'retry')?.attrs['count'] ?? 1)
  device.ledger.retriesSent++
  note(world.log.retries, {
    id,
    by: pnOf(device),
    sender: sender ? pnOf(sender) : (participant ?? to ?? ''),
    count,
    at: Date.now(),
  })
  if (!sender) return
  sender.ledger.retriesReceived++
  sender.sent.get(id)?.wanted.add(device)
  deliver(world, sender, passedOn(receipt, device))
}

/** The receipt as the sender of the message sees it: from whom, in the form the message used. */
function passedOn(receipt: Stanza, device: Device): Stanza {
  const { id, type, to, recipient } = receipt.attrs
  const who = isGroup(to)
    ? { from: to, participant: lidOf(device) }
    : { from: addressLike(to, device), recipient }
  return stanza('receipt', { id, type, t: receipt.attrs['t'] ?? seconds(), ...who }, receipt.content)
}

/** Takes an acknowledgement, or with `error` the refusal, of something the server sent. Either way it was had. */
export function acceptAck(device: Device, ack: Stanza): void {
  const { id = '', class: tag = '', error } = ack.attrs
  device.queue.confirm(tag, id)
  if (tag === 'message' && error !== undefined) {
    device.ledger.nacks[error] = (device.ledger.nacks[error] ?? 0) + 1
  }
}
