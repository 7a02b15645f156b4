import { CodedError, hasCode } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { SupersededDevice } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { RunnerLease } from '../../ownership/lease.ts'
import type { FleetBreaker } from '../../pacing/breaker.ts'
import type { LiveSession } from '../../session/live-session.ts'
import type { LiveSessionDeps } from '../../session/live-session-deps.ts'
import {
  compareDevices,
  deviceOf,
  judgeUnlink,
  onThePhone,
  unlinkAgainAfterMs,
} from '../../session/superseded.ts'
import { isPaired } from '../../state/paired.ts'
import { CREDS_KEY, decodeValue } from '../../state/record.ts'
import type { RecordMap } from '../../state/record-map.ts'
import { loadSnapshot } from '../../state/rehydrate.ts'
import type { UnlinkDevice } from '../../whatsapp/socket.ts'
import type { KeyQueue } from '../key-queue.ts'
import type { Basics, Sessions, Trail } from '../needs.ts'
import type { SlowLane } from '../slow-lane.ts'
import type { ClientVersions } from '../../version/version.ts'
import type { View } from '../view.ts'

/** What unlinking sees of the session whose device was superseded. */
type Successor = Pick<LiveSession, 'key' | 'state' | 'connection' | 'identity' | 'superseded' | 'proxy'>

export interface UnlinkNeeds extends Basics, Sessions<Successor>, Trail {
  stores: Pick<Stores, 'snapshots' | 'blobs'>
  lease: Pick<RunnerLease, 'isGood'>
  view: Pick<View, 'sessions'>
  queue: Pick<KeyQueue<SessionKey>, 'addAt'>
  breaker: Pick<FleetBreaker, 'waitsUntilMs'>
  version: Pick<ClientVersions, 'of'>
  sessionDeps: Pick<LiveSessionDeps, 'mayWrite'>
  unlinkDevice: UnlinkDevice
  /** Devices that are taken off their phones. */
  unlinking: Pick<SlowLane, 'offer' | 'isBusy'>
}

/**
 * Takes a device that this session was before off its phone, by its archived credentials, once the session is connected
 * again: no companion can remove another. Begins it and returns; the outcome is told by an event and in the status. A crash
 * in between is harmless: the next owner finds the device pending, and one that is gone already is refused with 401.
 */
export function unlinkSuperseded(context: UnlinkNeeds, key: SessionKey): void {
  const { clock, queue, unlinking, breaker, lease } = context
  const live = context.live.get(key)
  if (!live || !lease.isGood || unlinking.isBusy(key) || !deviceToUnlink(live)) return
  const startMs = Math.max(live.superseded.notBeforeMs, breaker.waitsUntilMs(clock.monotonicMs()))
  if (clock.monotonicMs() < startMs) return queue.addAt(key, startMs)
  unlinking.offer(key, async (drained) => {
    // It waited for its turn.
    const device = context.live.get(key) === live ? deviceToUnlink(live) : undefined
    if (!device) return
    const stopped = live.superseded.begin()
    try {
      await unlink(context, live, device, AbortSignal.any([drained, stopped]))
    } catch (error) {
      // Its session is closing: what failed by that did not fail.
      if (!stopped.aborted) throw error
    }
  })
}

/** What is to be unlinked now, while the session is connected as the device that came after it. */
const deviceToUnlink = (live: Successor): SupersededDevice | undefined =>
  live.state && live.connection.is === 'open' && live.identity.paired ? live.superseded.pending : undefined

async function unlink(
  context: UnlinkNeeds,
  live: Successor,
  device: SupersededDevice,
  signal: AbortSignal,
): Promise<void> {
  const { clock, sessionDeps } = context
  const { key } = live
  const isOurs = (): boolean => !signal.aborted && context.live.get(key) === live && sessionDeps.mayWrite()
  const archived = await archivedState(context, live, device)
  if (!isOurs()) return
  if (archived instanceof CodedError)
    return conclude(context, live, device, onThePhone(`its credentials are lost (${archived.code})`))
  const creds = decodeValue(archived.get(CREDS_KEY) ?? EMPTY) as Credentials
  const jid = creds?.me?.id
  const known = { ...device, ...(jid === undefined ? {} : { jid }) }
  const relation = compareDevices(creds ?? {}, live.state?.storedCreds() ?? {})
  // A device that is live, or never was linked, was not superseded.
  if (relation === 'same' || !isPaired(creds)) {
    live.superseded.forget(device.snapshot)
    return
  }
  if (relation === 'number_taken') {
    const why = 'it was not linked any more: its number belongs to another device'
    return conclude(context, live, known, { state: 'retired', why, tries: device.tries })
  }
  // Not which one: it may be another tenant's.
  if (isAnotherSession(context, key, jid))
    return conclude(context, live, known, onThePhone('another session uses it, so it is left alone'))
  context.log.info({ sessionId: key, snapshot: device.snapshot }, 'a superseded device is unlinked')
  const { proxy } = live
  const answer = await context.unlinkDevice({
    key,
    proxy,
    records: archived,
    version: context.version.of(),
    mayWrite: isOurs,
    signal,
  })
  if (!isOurs()) return
  const outcome = judgeUnlink(answer, device.tries)
  live.superseded.waitUntil(clock.monotonicMs() + unlinkAgainAfterMs(outcome.tries))
  conclude(context, live, known, outcome)
}

type Credentials = { me?: { id?: string }; signedIdentityKey?: { public?: unknown } } | undefined | null
const EMPTY = Uint8Array.of(0xf6) // null, in CBOR

/** The records of its backup, or why there are none. @throws CodedError `store_unavailable`, `overloaded` */
export async function archivedState(
  context: Pick<UnlinkNeeds, 'stores'>,
  { key, state }: Pick<LiveSession, 'key' | 'state'>,
  { snapshot }: SupersededDevice,
): Promise<RecordMap | CodedError> {
  const record = (await context.stores.snapshots.list(key)).find(({ id }) => id === snapshot)
  if (!record || !state) return new CodedError('blob_missing', 'retire a device: its backup is gone')
  try {
    return await loadSnapshot(context, key, state.ring, record)
  } catch (error) {
    if (hasCode(error, 'bad_bytes', 'blob_missing', 'wrong_key')) return error
    throw error
  }
}

/** Another session is the very same device (it was exported and imported there), and would be cut off. */
export const isAnotherSession = (
  { view }: Pick<UnlinkNeeds, 'view'>,
  key: SessionKey,
  jid: string | undefined,
): boolean =>
  [...view.sessions].some(
    ([other, { status, want }]) =>
      other !== key &&
      !want.deleting &&
      status?.authenticatedAt !== undefined &&
      status.phase !== 'logged_out' &&
      deviceOf(status.jid) === deviceOf(jid),
  )

function conclude(
  context: UnlinkNeeds,
  live: Successor,
  device: SupersededDevice,
  outcome: Pick<SupersededDevice, 'state' | 'why' | 'tries'>,
): void {
  const { key } = live
  live.superseded.conclude({ ...device, ...outcome, at: context.clock.nowMs() })
  context.log[outcome.state === 'still_linked' ? 'warn' : 'info'](
    { sessionId: key, snapshot: device.snapshot, to: outcome.state, why: outcome.why, tries: outcome.tries },
    'superseded device',
  )
  if (outcome.state === 'pending') return
  context.reporter.event(key, {
    kind: 'retire',
    to: outcome.state,
    ...(outcome.why === undefined ? {} : { why: outcome.why }),
    epoch: live.state?.epoch ?? 0,
    detail: { snapshot: device.snapshot, ...(device.jid === undefined ? {} : { jid: device.jid }) },
  })
}
