import type { Queued } from './queue.ts'
import { stanza, type Stanza } from './stanza.ts'
import type { Device, World } from './world.ts'

/**
 * Hands a stanza to a device. A simulated one takes it at once; for a real one it waits in the queue until it is
 * confirmed, and is written now only if the device's connection is active.
 */
export function deliver(world: World, device: Device, node: Stanza): void {
  if (device.simulated) {
    if (node.tag === 'message') device.ledger.delivered++
    device.simulated.receive(node)
    return
  }
  // A device that was unlinked meanwhile gets nothing, and its queue must not grow for ever.
  if (world.accounts.get(device.account.phone)?.devices.get(device.id) !== device) return
  const entry = device.queue.add(node)
  if (device.line?.active) write(device, entry)
}

/** Writes everything that waits, marked as offline, and then the marker that says how much there was. */
export function deliverBacklog(device: Device): void {
  const { line } = device
  if (!line) return
  const backlog = [...device.queue.waiting]
  line.active = true
  for (const entry of backlog) write(device, entry, String(entry.sends))
  line.send(stanza('ib', {}, [stanza('offline', { count: String(backlog.length) })]))
}

function write(device: Device, entry: Queued, offline?: string): void {
  if (entry.node.tag === 'message') {
    if (entry.sends === 0) device.ledger.delivered++
    else device.ledger.redelivered++
  }
  entry.sends++
  const { node } = entry
  device.line?.send(offline === undefined ? node : { ...node, attrs: { ...node.attrs, offline } })
}
