import { CodedError } from '#shared/errors.ts'
import type { Session } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { UnlinkResult, Removal } from '#shared/store/removal-store.ts'
import type { Sessions } from '../loop/needs.ts'
import type { SlowLane } from '../loop/slow-lane.ts'
import { archivedState, isAnotherSession, type UnlinkNeeds } from '../loop/steps/unlink-superseded.ts'
import type { LiveSession } from '../session/live-session.ts'
import { judgeUnlink, onThePhone, unlinkAgainAfterMs } from '../session/superseded.ts'
import { isPaired } from '../state/paired.ts'
import { CREDS_KEY, decodeValue } from '../state/record.ts'
import { RecordMap } from '../state/record-map.ts'

/** After one that its lane does not take, since it hung, say. */
const TURN_MS = 1_000
/** After a store in trouble. */
const LATER_MS = 10_000

export interface UnlinkRemovedNeeds
  extends Omit<UnlinkNeeds, 'live' | 'reporter' | 'lease' | 'unlinking'>, Sessions {
  stores: UnlinkNeeds['stores'] & Pick<Stores, 'removals'>
  /** Devices of deleted sessions that are taken off their phones. */
  unlinkingRemoved: Pick<SlowLane, 'offer'>
}

/**
 * Takes the device of a session that is removed off its phone: by the connection that is open, or with the stored
 * credentials by a short one of its own. They tell whether there is a device, whatever the session was in the middle of: it is
 * one from the moment of the scan on, also before the login that follows (docs/facts/baileys.md §4.4). Devices that it was
 * before, and that are still to be retired, go with it.
 *
 * Answers at once where nobody has to be asked; else it is begun, and `live.unlinkResult` says later what became of it. A crash
 * in between is harmless: the next owner asks again, and a device that is gone already is refused with 401.
 */
export async function unlinkForRemoval(
  context: UnlinkRemovedNeeds,
  live: LiveSession,
  session: Session,
  removal: Removal,
): Promise<UnlinkResult | undefined> {
  const { clock, queue, unlinkingRemoved, breaker } = context
  const { key } = live
  const isShared = isAnotherSession(context, key, session.status?.jid)
  let isConfirmed = false
  if (live.identity.paired && !isShared)
    isConfirmed = (await live.logout().catch(() => 'unconfirmed' as const)) === 'confirmed'
  await live.closeSocket()
  live.judged()
  const known = withoutAsking(live, session)
  if (known) return known
  const own = isConfirmed ? [] : ownDevice(live)
  const before = (live.superseded.devices ?? []).filter(({ state }) => state === 'pending')
  if (own.length + before.length === 0) return told(session, isConfirmed ? ['confirmed'] : [])
  const putOffUntil = (atMs: number): void => {
    live.superseded.waitUntil(atMs)
    queue.addAt(key, atMs)
  }
  const nowMs = clock.monotonicMs()
  const stoppedUntilMs = breaker.waitsUntilMs(nowMs)
  if (nowMs < stoppedUntilMs) {
    putOffUntil(stoppedUntilMs)
    return undefined
  }
  const isTaken = unlinkingRemoved.offer(key, async (drained) => {
    const stopped = live.superseded.begin()
    try {
      await ask(context, live, session, removal, AbortSignal.any([drained, stopped]))
    } catch (thrown) {
      if (stopped.aborted) return
      live.superseded.waitUntil(clock.monotonicMs() + LATER_MS)
      throw thrown
    }
  })
  if (!isTaken) putOffUntil(nowMs + TURN_MS)
  return undefined
}

/** What there is to say where the credentials are not there to ask with. */
function withoutAsking(live: LiveSession, session: Session): UnlinkResult | undefined {
  const { status, dataKeys } = session
  if (live.state && (isPaired(live.state.storedCreds()) || status?.phase !== 'failed')) return undefined
  const isGone = status?.phase === 'logged_out' || dataKeys.length === 0
  if (!live.state && isGone) return told(session, [])
  if (status?.jid === undefined) return live.state ? undefined : { device: 'never_linked' }
  const why = live.retry.block?.why ?? 'they are lost'
  return stillLinked([onThePhone(`its credentials can't be read (${why})`).why ?? why])
}

interface Device {
  records: RecordMap
  jid: string | undefined
}

/** A copy: what the last connection changes of it is written nowhere. */
function ownDevice({ state }: LiveSession): Device[] {
  if (!state || !isPaired(state.storedCreds())) return []
  return [deviceOf(new RecordMap(state.records.repack()))]
}

function deviceOf(records: RecordMap): Device {
  const creds = records.get(CREDS_KEY)
  const { me } = ((creds && decodeValue(creds)) ?? {}) as { me?: { id?: string } }
  return { records, jid: me?.id }
}

/** Asks for each device in turn. One that WhatsApp could not be asked about puts all off; those done are refused then. */
async function ask(
  context: UnlinkRemovedNeeds,
  live: LiveSession,
  session: Session,
  removal: Removal,
  signal: AbortSignal,
): Promise<void> {
  const { sessionDeps, log } = context
  const { key } = live
  const isOurs = (): boolean => !signal.aborted && context.live.get(key) === live && sessionDeps.mayWrite()
  const outcomes: string[] = []
  const left: string[] = []
  for (const device of await devicesOf(context, live)) {
    if (device instanceof CodedError) {
      left.push(onThePhone(`its credentials are lost (${device.code})`).why ?? device.code)
      continue
    }
    if (isAnotherSession(context, key, device.jid)) {
      left.push('another session uses the device, so it is left alone')
      continue
    }
    log.info({ sessionId: key }, 'the device of a deleted session is unlinked')
    const { records } = device
    const { proxy } = removal.session.want
    const answer = await context.unlinkDevice({
      key,
      proxy,
      records,
      version: context.version.of(),
      mayWrite: isOurs,
      signal,
    })
    if (!isOurs()) return
    const outcome = judgeUnlink(answer, removal.tries)
    if (outcome.state === 'pending') return putOff(context, live, outcome.tries)
    if (outcome.state === 'retired') outcomes.push(outcome.why ?? 'unlinked')
    else left.push(outcome.why ?? 'still linked')
  }
  if (!isOurs()) return
  live.isUnlinked(left.length > 0 ? stillLinked(left) : told(session, outcomes))
}

async function putOff(
  { stores, clock, queue }: UnlinkRemovedNeeds,
  live: LiveSession,
  tries: number,
): Promise<void> {
  await stores.removals.change(live.key, (removal) => ({ ...removal, tries }))
  live.superseded.waitUntil(clock.monotonicMs() + unlinkAgainAfterMs(tries))
  queue.addAt(live.key, live.superseded.notBeforeMs)
}

/** Its own, and those that it was before and that are still to be retired. @throws CodedError `store_unavailable` */
async function devicesOf(context: UnlinkRemovedNeeds, live: LiveSession): Promise<(Device | CodedError)[]> {
  const devices: (Device | CodedError)[] = ownDevice(live)
  for (const before of live.superseded.devices ?? []) {
    if (before.state !== 'pending') continue
    const records = await archivedState(context, live, before)
    devices.push(records instanceof CodedError ? records : deviceOf(records))
  }
  return devices
}

const stillLinked = (whys: readonly string[]): UnlinkResult => ({
  device: 'still_linked',
  why: whys.join('; '),
})

/** Every device that was asked about is gone; there may be others that it was before, and that nobody could retire. */
function told({ status }: Session, outcomes: readonly string[]): UnlinkResult {
  const left = (status?.superseded ?? []).filter(({ state }) => state === 'still_linked')
  if (left.length > 0) return stillLinked(left.map(({ why }) => why ?? 'a device that it was before'))
  const wasLinked = outcomes.length > 0 || status?.phase === 'logged_out'
  return { device: wasLinked ? 'unlinked' : 'never_linked' }
}
