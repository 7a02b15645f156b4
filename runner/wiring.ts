import { CodedError } from '#shared/errors.ts'
import { parseRunnerId, splitKey, type SessionKey } from '#shared/ids.ts'
import type { Stores } from '#shared/store/stores.ts'
import type { TransferSettings } from '#shared/transfer-settings.ts'
import { Gate } from './gate/gate.ts'
import type { HousekeepingNeeds } from './loop/housekeeping.ts'
import { KeyQueue } from './loop/key-queue.ts'
import { FAILED_PASS_MS, type PassNeeds } from './loop/passes.ts'
import { Reporter } from './loop/reporter.ts'
import { SlowLane } from './loop/slow-lane.ts'
import type { stepsOf } from './loop/steps.ts'
import { View } from './loop/view.ts'
import { Claims } from './ownership/claims.ts'
import { RunnerLease } from './ownership/lease.ts'
import { expectedOf, Preparations } from './ownership/preparations.ts'
import { RunnersSeen } from './ownership/runners-seen.ts'
import { BootReport } from './pacing/boot-report.ts'
import { FleetBreaker } from './pacing/breaker.ts'
import { LoopLag } from './pacing/loop-lag.ts'
import { Pacer } from './pacing/pacer.ts'
import type { RunnerDeps } from './runner-deps.ts'
import { LateLogins } from './session/late-logins.ts'
import type { LiveSession } from './session/live-session.ts'
import { dataKeys, type DataKeys } from './state/data-keys.ts'
import { prepareState } from './state/prepared.ts'
import { fileWorkingCopies, type WorkingCopies } from './state/working-copy.ts'
import { ClientVersion, type ClientVersions } from './version/version.ts'

/** Where nothing is imported or exported. */
const NOTHING_IN_OR_OUT: TransferSettings = {
  recipient: () => Promise.reject(new CodedError('config', 'this runner takes nothing in')),
  identities: () => Promise.reject(new CodedError('config', 'this runner takes nothing in')),
  exports: { to: 'recipients', recipients: [] },
}

/** Where nobody asks. */
const BUILT_IN: ClientVersions = {
  of: () => undefined,
  begins: () => undefined,
  accepted: () => undefined,
  refused: () => undefined,
  look: async () => undefined,
}

/** Passes at once. A pass mostly waits for the store or the network. */
const PASSES_AT_ONCE = 64
/** Many times what a pass takes while the store is well; one that takes longer goes on without counting. */
const PASS_COUNTS_FOR_MS = 1_000
/** Nobody waits for snapshots; each is a state in memory once more, and the uplink is for messages. */
const SNAPSHOTS_AT_ONCE = 4
/** Five tries of an upload that fails take less (shared/google/storage-retry.ts); what takes longer hangs. */
const SNAPSHOT_WITHIN_MS = 120_000
/** Nobody waits for devices to be unlinked, and sessions that come up need the logins. */
const UNLINKED_AT_ONCE = 2
/** Each is a connection of its own for a second or so, and somebody waits for the session to be gone. */
const REMOVED_AT_ONCE = 8
/** Reading the archive, and a connection that gives up by itself after 55 s (runner/whatsapp/unlink-device.ts). */
const UNLINK_WITHIN_MS = 120_000

/** All that a runner is made of. Each step, and what runs them, names the few parts of it that it needs. */
export type Wiring = Parameters<typeof stepsOf>[0] &
  PassNeeds &
  Omit<HousekeepingNeeds, 'keyCare' | 'passes' | 'handOver'> & {
    stores: Stores
    lease: RunnerLease
    claims: Claims
    queue: KeyQueue<SessionKey>
    reporter: Reporter
    boot: BootReport
    workingCopies: WorkingCopies
    view: View
    snapshots: SlowLane
    unlinking: SlowLane
    unlinkingRemoved: SlowLane
    gate: Gate
    version: ClientVersions
    dataKeys: DataKeys
  }

/** Makes the parts of one runner and ties them together. Nothing begins yet. */
export function wire(
  deps: RunnerDeps,
  { run, isDraining }: { run: (key: SessionKey) => Promise<void>; isDraining: () => boolean },
): Wiring {
  const { stores, clock, random, log, settings } = deps
  const { version, capacity } = settings
  // Unique for every start: a record of an earlier life is somebody else's.
  const id = parseRunnerId(`${settings.name}.${random.id().slice(0, 6)}`)
  const live = new Map<SessionKey, LiveSession>()
  const facts = { capacity, version, held: () => live.size }
  const lease = new RunnerLease({
    store: stores.runners,
    clock,
    random,
    log,
    id,
    times: settings.lease,
    facts,
  })
  const queue = new KeyQueue<SessionKey>({
    run,
    failed: (key, error) => {
      log.error({ error, sessionId: key }, 'pass failed')
      queue.addAt(key, clock.monotonicMs() + FAILED_PASS_MS)
    },
    clock,
    concurrency: PASSES_AT_ONCE,
    placeForMs: PASS_COUNTS_FOR_MS,
    tenantOf: (key) => splitKey(key).tenant,
    waits: true,
  })
  const breaker = new FleetBreaker(() => {
    for (const key of live.keys()) queue.add(key)
  })
  const clientVersion: ClientVersions = deps.clientVersion
    ? new ClientVersion({
        ...deps.clientVersion,
        fleet: stores.fleet,
        clock,
        log,
        adopted: () => breaker.reset(),
      })
    : BUILT_IN
  const workingCopies = deps.workingCopies ?? fileWorkingCopies(settings.workDir, log)
  const keys = dataKeys({ stores, clock, random })
  const soon = deps.soon ?? ((task: () => void): void => void setImmediate(task))
  const lateLogins = new LateLogins()
  const runners = new RunnersSeen({ store: stores.runners, clock, me: id, times: settings.lease })
  const view = new View(stores, clock)
  const reporter = new Reporter({
    stores,
    clock,
    random,
    log,
    me: id,
    fenced: (key) => queue.add(key),
    isOver: (key) => view.sessions.get(key)?.want.deleting !== undefined,
  })
  const mayWork = (): boolean => !isDraining() && lease.isGood
  const lane = (name: string, atOnce: number, withinMs: number): SlowLane =>
    new SlowLane({
      name,
      clock,
      log,
      dice: () => random.next(),
      atOnce,
      withinMs,
      mayWork,
      wake: (key) => queue.add(key),
    })
  return {
    stores,
    clock,
    random,
    log,
    lease,
    claims: new Claims(lease),
    runners,
    view,
    preparations: new Preparations({
      clock,
      log,
      mayTake: () => settings.reconcile && mayWork() && live.size < capacity,
      expected: () => expectedOf(view.sessions, view.owners, runners.leaving, runners.candidates(), id),
      ownerOf: (key) => view.owners.get(key),
      prepare: (key) => prepareState({ stores, dataKeys: keys, log }, key),
    }),
    live,
    dataKeys: keys,
    workingCopies,
    queue,
    pacer: new Pacer({
      perSecond: settings.connectsPerSecond,
      atOnceMax: settings.connectingMax,
      tenantOf: (key) => splitKey(key).tenant,
    }),
    breaker,
    version: clientVersion,
    lag: new LoopLag(),
    reporter,
    boot: new BootReport(log, clock.monotonicMs()),
    unlinkDevice: deps.unlinkDevice,
    gate: new Gate(clock, (key) => queue.add(key)),
    transfer: deps.transfer ?? NOTHING_IN_OR_OUT,
    snapshots: lane('snapshot', SNAPSHOTS_AT_ONCE, SNAPSHOT_WITHIN_MS),
    unlinking: lane('unlink', UNLINKED_AT_ONCE, UNLINK_WITHIN_MS),
    unlinkingRemoved: lane('unlink_removed', REMOVED_AT_ONCE, UNLINK_WITHIN_MS),
    lateLogins,
    sessionDeps: {
      stores,
      bodies: deps.bodies,
      state: { stores, dataKeys: keys, workingCopies, clock, random, log, soon },
      openSocket: deps.openSocket,
      clientVersion: (key) => clientVersion.of(key),
      mayWrite: () => lease.isGood,
      clock,
      log,
      dice: () => random.next(),
      lateLogins,
      dropped: deps.dropped ?? (() => undefined),
      wake: (key) => queue.add(key),
      background: (key, work, of) => reporter.background(key, work, of),
      event: (key, event) => reporter.event(key, event),
    },
  }
}
