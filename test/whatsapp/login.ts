import { proto } from '@whiskeysockets/baileys'
import { lidOf } from './accounts.ts'
import { noteLogin } from './ledger.ts'
import { offerPairing } from './pairing.ts'
import { randomBytes } from 'node:crypto'
import { seconds, stanza } from './stanza.ts'
import { streamError, strikeAt } from './strike.ts'
import type { Device, Line, World } from './world.ts'

/** The client finished its handshake: it either wants to be linked or says which device it is. */
export function hello(world: World, line: Line, payloadBytes: Buffer, clientStatic: Buffer): void {
  const payload = proto.ClientPayload.decode(payloadBytes)
  const build = payload.userAgent?.appVersion?.tertiary ?? 0
  if (world.faults.use('old_build', line, ({ below }) => build < below)) return refuse(world, line, '405', {})
  if (payload.devicePairingData) return offerPairing(world, line, payload, clientStatic)
  const device = world.accounts.get(String(payload.username ?? ''))?.devices.get(payload.device ?? 0)
  // Who does not hold the key it was linked with is nobody, whatever it calls itself.
  if (!device?.noiseKey?.equals(clientStatic)) return refuse(world, line, '401', {})
  line.device = device
  const full = world.faults.admitLogin('failure')
  if (full !== undefined) return refuse(world, line, String(full), {})
  const failure = world.faults.use('failure', line)
  if (failure) return refuse(world, line, String(failure.reason), failure.attrs)
  if (world.faults.has('freeze', line)) line.freeze()
  if (strikeAt(world, line, 'login')) {
    line.device = undefined
    return
  }
  const late = world.faults.use('late_login', line)
  if (!late) return login(world, line, device)
  // Nobody is logged in until then.
  line.device = undefined
  setTimeout(() => {
    line.device = device
    login(world, line, device)
  }, late.ms)
}

function login(world: World, line: Line, device: Device): void {
  replaceOlder(device)
  // It came behind the end of its own connection: it has replaced another, and nobody is there.
  if (line.closed) return
  device.line = line
  noteLogin(device.ledger)
  device.lastSeen = Date.now()
  line.send(stanza('success', { t: seconds(), lid: lidOf(device), location: 'frc', props: '27' }))
  if (world.options.edgeRouting) {
    line.send(stanza('ib', {}, [stanza('edge_routing', {}, [stanza('routing_info', {}, routingInfo())])]))
  }
}

function replaceOlder(device: Device): void {
  const older = device.line
  device.line = undefined
  if (!older) return
  older.active = false
  device.ledger.replaced++
  streamError(older, { conflict: 'replaced' })
}

/** rc14 keeps these bytes and puts them in front of its next handshake. */
function routingInfo(): Buffer {
  return Buffer.concat([Buffer.from([8, 2, 8]), randomBytes(3)])
}

/** `<failure>`: the client must not come again like this. `location` names the data centre and means nothing here. */
function refuse(world: World, line: Line, reason: string, attributes: Record<string, string>): void {
  world.log.refusedLogins++
  if (line.device) line.device.ledger.loginsRefused++
  line.device = undefined
  line.send(stanza('failure', { reason, location: 'frc', ...attributes }))
  line.close()
}
