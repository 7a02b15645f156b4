import { nameOfKey, type SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import { rehydrate } from '#runner/state/rehydrate.ts'
import { dataKeys } from '#runner/state/data-keys.ts'
import type { RecordMap } from '#runner/state/record-map.ts'
import { Disk, workingCopiesOn } from './disk.ts'
import type { Host, World } from './host.ts'
import { SimulatedProcess } from './process.ts'

/** What the world still lacks to be as it is wanted: the `eventually_` checks. Empty when all is well. */
export function unsettled(
  world: World,
  hosts: readonly Host[],
  keys: readonly SessionKey[],
): readonly string[] {
  return [...keys.flatMap((key) => ofSession(world, key)), ...ofHosts(world, hosts, keys)]
}

function ofSession({ db, whatsapp, witness }: World, key: SessionKey): string[] {
  const session: Session | undefined = db.sessions.get(nameOfKey(key))?.session
  const owner = db.owners.get(key)
  const device = whatsapp.deviceOf(key)
  const lacks: string[] = []
  const must = (holds: boolean | undefined, what: string): void => {
    if (!holds) lacks.push(`${key} ${what}`)
  }
  const { want, status } = session ?? {}
  must(status?.phase === 'connected', `is ${status?.phase}`)
  must(status?.observedGeneration === want?.generation, `does not answer to generation ${want?.generation}`)
  must(status?.epoch === owner?.epoch, `has a status of epoch ${status?.epoch}, not ${owner?.epoch}`)
  const live = witness.incarnations.withRunner(owner?.runnerId)
  must(live !== undefined, 'is owned by no live runner')
  must(
    device.current?.isOpen && device.current.client.process === live?.process,
    'is not connected by its owner',
  )
  const fed = db.feeds.get(key)?.size ?? 0
  must(fed === device.inbound.length, `has ${fed} of ${device.inbound.length} messages in its feed`)
  must(device.queue.size === 0, `has ${device.queue.size} messages without a receipt`)
  const accepted = new Set(device.accepted.map(({ id }) => id))
  for (const { id, state } of db.outbox.get(key)?.values() ?? []) {
    must(state === 'sent', `has ${id} in state ${state}`)
    must(accepted.has(id), `says ${id} is ${state}, and WhatsApp never took it`)
  }
  for (const job of db.jobs.get(key)?.values() ?? [])
    must(job.state === 'done', `has a ${job.kind} job ${job.state}`)
  return lacks
}

function ofHosts({ witness }: World, hosts: readonly Host[], keys: readonly SessionKey[]): string[] {
  const lacks: string[] = []
  const held = hosts.reduce((sum, host) => sum + (host.runner?.held ?? 0), 0)
  if (held !== keys.length) lacks.push(`${held} sessions are held, not ${keys.length}`)
  const sockets = witness.incarnations.all.reduce((sum, { sockets }) => sum + sockets.size, 0)
  if (sockets !== keys.length) lacks.push(`${sockets} connections are kept, not ${keys.length}`)
  return lacks
}

/** A runner that started now would rebuild exactly what was acknowledged: nothing was lost on the way. */
export async function rebuilt(world: World, key: SessionKey): Promise<void> {
  const { db, control, time, trace, witness, dice } = world
  const session = db.sessions.get(nameOfKey(key))?.session
  if (!session) return witness.violate(`${key} is gone`)
  const process = new SimulatedProcess(time, 'later')
  const { random } = dice.for('later')
  const ring = await dataKeys({ stores: control, clock: process.clock, random }).ring(key, session)
  const workingCopies = workingCopiesOn(new Disk(), process)
  const seen = [db.owners.get(key)?.witness, session.status?.witness].filter((one) => one !== undefined)
  const deps = { stores: control, workingCopies, log: trace.log('later') }
  const found = await rehydrate(deps, key, ring, seen)
  const durable = witness.durable(key)
  if (!found.complete)
    witness.violate(`anytime_ no entry lost: ${key} is incomplete: ${found.troubles.join('; ')}`)
  else if (!same(found.records, durable.records))
    witness.violate(`anytime_ no entry lost: ${key} is rebuilt differently from what was acknowledged`)
}

function same(a: RecordMap, b: RecordMap): boolean {
  const text = (map: RecordMap): string =>
    [...map.entries()].map(([name, value]) => `${name} ${Buffer.from(value).toString('base64')}`).join('\n')
  return text(a) === text(b)
}
