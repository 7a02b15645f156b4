import { acceptCountersignature } from './linking.ts'
import { acceptLinkCode } from './pairing.ts'
import { answerQuery } from './queries.ts'
import { acceptAck, acceptReceipt } from './receipts.ts'
import { acceptMessage } from './relay.ts'
import { child, SERVER, stanza, type Stanza } from './stanza.ts'
import type { Line, World } from './world.ts'

/** Sends each stanza of a client to whoever deals with its kind. */
export function route(world: World, line: Line, node: Stanza, seenAtNs: bigint): void {
  const { device } = line
  if (!device) return routeRegistration(world, line, node)
  switch (node.tag) {
    case 'iq':
      return answerQuery(world, line, device, node)
    case 'message':
      return acceptMessage(world, device, node, seenAtNs)
    case 'receipt':
      return acceptReceipt(world, device, node)
    case 'ack':
      return acceptAck(device, node)
    default:
      // presence, chatstate, unified_session, offline_batch and calls ask for nothing.
      return undefined
  }
}

/** A client that is not linked yet may ping, ask for a code, acknowledge and countersign. */
function routeRegistration(world: World, line: Line, node: Stanza): void {
  if (node.tag === 'ack') return acceptRegistrationAck(world, line, node)
  if (node.tag !== 'iq') return
  const { id = '', type } = node.attrs
  if (type === 'result') {
    if (child(node, 'pair-device-sign')) acceptCountersignature(line, node)
    return
  }
  const refused = child(node, 'link_code_companion_reg') && world.faults.use('code_refused')
  if (refused) {
    const error = stanza('error', { code: String(refused.error), text: 'refused' })
    return line.send(stanza('iq', { from: SERVER, type: 'error', id }, [error]))
  }
  const answer = acceptLinkCode(line, node)
  line.send(stanza('iq', { from: SERVER, type: 'result', id }, answer.length ? answer : undefined))
}

function acceptRegistrationAck(world: World, line: Line, { attrs }: Stanza): void {
  const { id = '', class: kind, type = '' } = attrs
  if (kind !== 'notification') return
  line.registration?.acknowledged.add(id)
  world.log.acknowledged.set(type, (world.log.acknowledged.get(type) ?? 0) + 1)
}
