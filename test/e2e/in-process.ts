import { afterEach } from 'vitest'
import { Runner } from '#runner/runner.ts'
import { recordedLog, type Line } from '#runner/runner.fixture.ts'
import { runnerSettings } from '#runner/settings.ts'
import { baileysSockets } from '#runner/whatsapp/baileys-socket.ts'
import { deviceUnlinker } from '#runner/whatsapp/unlink-device.ts'
import { silenceConsole } from '#runner/whatsapp/library/silent-console.ts'
import { systemClock, type Clock } from '#shared/clock.ts'
import { readConfig } from '#shared/config.ts'
import { contentSecret } from '#shared/content-settings.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import type { SessionKey } from '#shared/ids.ts'
import { systemRandom } from '#shared/random.ts'
import { createBodies } from '#shared/sealing/bodies.ts'
import type { FeedStore } from '#shared/store/feed-store.ts'
import { transferSettings } from '#shared/transfer-settings.ts'
import type { JournalEntry, JournalStore } from '#shared/store/journal-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { trustStandIn } from '#test/whatsapp/trust.ts'
import type { Installation } from './installation.ts'
import type { MooringProcess } from './mooring-process.ts'

/** One attempt to append, and when the store had it for good, on the clock of `process.hrtime`. */
interface Append {
  readonly key: SessionKey
  readonly entry: JournalEntry
  durableAtNs: bigint | undefined
}

export interface Hold {
  /** Those that wait go to the store; those that come then wait again. */
  pass(): void
  /** Nothing waits any more. */
  release(): void
}

/** A runner of this very process, whose journal and feed do what the test says. */
export interface LocalRunner {
  readonly stores: Stores
  readonly lines: readonly Line[]
  readonly appends: readonly Append[]
  /** Faults of the journal, read at each call. */
  readonly journal: Script<JournalStore>
  readonly feed: Script<FeedStore>
  /** From here on appends wait. */
  holdAppends(): Hold
  stop(): Promise<void>
}

export interface LocalOptions {
  readonly installation: Installation
  readonly whatsappUrl: string
  /** Of the runner alone. */
  readonly clock?: Clock
}

/** Starts a runner here on the data of an installation whose API is a process of its own. All ends with the test. */
export function useLocalRunners(): (
  options: LocalOptions,
) => Promise<{ control: MooringProcess; local: LocalRunner }> {
  const endings: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of endings.splice(0).toReversed()) await end()
  })
  return async (options) => {
    const control = await options.installation.start({ MOORING_ROLE: 'control' })
    const local = await startLocalRunner(options)
    endings.push(() => local.stop())
    return { control, local }
  }
}

async function startLocalRunner(options: LocalOptions): Promise<LocalRunner> {
  const { installation, whatsappUrl, clock = systemClock } = options
  const { log, lines } = recordedLog()
  trustStandIn()
  silenceConsole(log)
  const { dataDir, workDir } = installation
  const stores = await openEmbeddedStores({ dataDir, clock: systemClock, random: systemRandom })
  const journal: Script<JournalStore> = {}
  const feed: Script<FeedStore> = {}
  const appends: Append[] = []
  const faultyJournal = faulty(stores.journal, journal)
  const config = readConfig({
    MOORING_WHATSAPP_URL: whatsappUrl,
    MOORING_CONNECTS_PER_SECOND: '1000',
    MOORING_CONNECT_TIMEOUT_MS: '5000',
    MOORING_RUNNER_ID: 'local',
  })
  const settings = runnerSettings(config, '0')
  const runner = new Runner({
    bodies: createBodies(await contentSecret({ ...config, MOORING_DATA_DIR: dataDir }), stores.tenants),
    stores: {
      ...stores,
      feed: faulty(stores.feed, feed),
      journal: { ...faultyJournal, append: noted(faultyJournal, appends) },
    },
    clock,
    random: systemRandom,
    log,
    openSocket: baileysSockets({
      settings: settings.baileys,
      clock,
      log: undefined,
      proxies: () => undefined,
    }),
    unlinkDevice: deviceUnlinker({
      settings: settings.baileys,
      clock,
      log: undefined,
      proxies: () => undefined,
    }),
    transfer: await transferSettings({ ...config, MOORING_DATA_DIR: dataDir }),
    settings: { ...settings.runner, workDir },
  })
  await runner.start()
  let stopped: Promise<void> | undefined
  return {
    stores,
    lines,
    appends,
    journal,
    feed,
    holdAppends() {
      let held = Promise.withResolvers<void>()
      const hold = (): void => void (journal.append = { kind: 'delay', until: held.promise })
      hold()
      return {
        pass() {
          const waiting = held
          held = Promise.withResolvers<void>()
          hold()
          waiting.resolve()
        },
        release() {
          delete journal.append
          held.resolve()
        },
      }
    },
    stop: () =>
      (stopped ??= (async () => {
        await runner.stop()
        await stores.close()
      })()),
  }
}

function noted(journal: JournalStore, appends: Append[]): JournalStore['append'] {
  return async (key, entry) => {
    const append: Append = { key, entry, durableAtNs: undefined }
    appends.push(append)
    await journal.append(key, entry)
    append.durableAtNs = process.hrtime.bigint()
  }
}
