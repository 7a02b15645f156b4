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
  if (!device) return routeRegistration(line, node)
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

/** A client that is not linked yet may ping, ask for a code and countersign. */
function routeRegistration(line: Line, node: Stanza): void {
  if (node.tag !== 'iq') return
  const { id = '', type } = node.attrs
  if (type === 'result') {
    if (child(node, 'pair-device-sign')) acceptCountersignature(line, node)
    return
  }
  const answer = acceptLinkCode(line, node)
  line.send(stanza('iq', { from: SERVER, type: 'result', id }, answer.length ? answer : undefined))
}
