import { sessionKey, type RunnerId, type SessionId, type SessionKey, type TenantId } from '#shared/ids.ts'
import { unseenStatus } from '#shared/session.ts'
import { dataKeys } from '#runner/state/data-keys.ts'
import { CREDS_KEY, encodeValue } from '#runner/state/record.ts'
import { SessionState } from '#runner/state/session-state.ts'
import { Disk, workingCopiesOn } from './disk.ts'
import { SimulatedProcess } from './process.ts'
import type { World } from './host.ts'

const TENANT = 't' as TenantId

const keyOf = (number: number): SessionKey => sessionKey(TENANT, `s${number}` as SessionId)
const jidOf = (number: number): string => `49170${String(number).padStart(6, '0')}:1@s.whatsapp.net`

/**
 * A session that was paired at some earlier time, by a runner that is long gone: its state is in the journal, its status
 * says since when it is paired, and nobody owns it.
 */
export async function pairedSession(world: World, number: number): Promise<SessionKey> {
  const { time, trace, control, whatsapp } = world
  const key = keyOf(number)
  const process = new SimulatedProcess(time, 'earlier')
  const { clock } = process
  const { random } = world.dice.for(`pairing ${number}`)
  const runnerId = 'earlier' as RunnerId
  const nowMs = clock.nowMs()
  const session = await control.sessions.create({
    tenant: TENANT,
    id: `s${number}` as SessionId,
    want: { state: 'running', metadata: {} },
    createdAt: nowMs,
  })
  const owner = await control.owners.claim({ key, runnerId, expectEpoch: 0, nonce: random.id(), nowMs })
  const deps = {
    stores: control,
    dataKeys: dataKeys({ stores: control, clock, random }),
    workingCopies: workingCopiesOn(new Disk(), process),
    clock,
    random,
    log: trace.log('earlier'),
    soon: process.soon,
  }
  const jid = jidOf(number)
  const creds = { me: { id: jid }, account: { accountSignature: Uint8Array.of(1) }, nextPreKeyId: 1 }
  const writing = (async () => {
    const state = await SessionState.open(deps, session, key, owner)
    await state.journal.set([[CREDS_KEY, encodeValue(creds)]])
  })()
  await time.runUntil(time.nowMs + 10)
  await writing
  const status = { ...unseenStatus(owner.epoch), phase: 'stopped' as const, jid, authenticatedAt: nowMs }
  await control.sessions.reportStatus(key, { ...status, observedGeneration: 1 }, nowMs)
  await control.owners.release({ key, runnerId, epoch: owner.epoch, nonce: random.id(), nowMs })
  process.crash()
  whatsapp.addDevice(key, jid)
  return key
}
