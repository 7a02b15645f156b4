import { toError } from '#shared/errors.ts'
import type { Clock } from '#shared/clock.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Log } from '#shared/log.ts'
import type { FleetStore, FleetVersion } from '#shared/store/fleet-store.ts'
import { compareVersions, newerVersion } from '#shared/whatsapp-version.ts'
import type { PageReading } from './web-page.ts'

/** What the parts of a runner ask of it. */
export type ClientVersions = Pick<ClientVersion, 'of' | 'begins' | 'accepted' | 'refused' | 'look'>

/** A new build comes every day or so, and an old one is taken for months. */
const READ_EVERY_MS = 86_400_000
/** Refused, the fleet wants to know now; one of its runners asks, and no more often than it tries. */
const READ_AGAIN_MS = 60_000

export interface VersionDeps {
  fleet: FleetStore
  clock: Clock
  log: Log
  /** The version that the library was made for. */
  builtIn: string
  /** One that an operator chose, once for all. */
  chosen?: string | undefined
  /** Asks WhatsApp's page; without it nobody is asked. */
  readPage?: (() => Promise<PageReading>) | undefined
  /** A newer version than before is in use, since another runner of the fleet found out that WhatsApp takes it. */
  adopted: () => void
}

/**
 * Which version of the web client the sessions of this runner say that they are (F11). What is built in stays in use until
 * WhatsApp refuses it (405); then one session tries the version that the page of the web client names, and once that is in,
 * all of the fleet use it, through one record in the store. Without that page, or the store, what is in use stays.
 */
export class ClientVersion {
  readonly #deps: VersionDeps
  #known: FleetVersion | undefined
  #inUse: string
  /** A session that tries a newer version than the others use. */
  #trying: { session: SessionKey; version: string } | undefined
  #looking: Promise<void> | undefined

  constructor(deps: VersionDeps) {
    this.#deps = deps
    this.#inUse = deps.chosen ?? deps.builtIn
  }

  /** What this session says that it is; without one, what all do. */
  of(session?: SessionKey): string | undefined {
    return this.#trying && this.#trying.session === session ? this.#trying.version : this.#inUse
  }

  /** That session connects; `alone` when it tries for all, because the version in use was refused. */
  begins(session: SessionKey, alone: boolean): void {
    if (this.#trying?.session === session) this.#trying = undefined
    const version = alone ? this.#candidate() : undefined
    if (version === undefined) return
    this.#trying = { session, version }
    this.#deps.log.warn(
      { sessionId: session, version, inUse: this.#inUse },
      'a newer WhatsApp version is tried',
    )
  }

  /** WhatsApp took a connection of that session. */
  accepted(session: SessionKey): void {
    if (this.#trying?.session !== session) return
    const { version } = this.#trying
    this.#trying = undefined
    this.#inUse = version
    this.#deps.log.warn({ version }, 'WhatsApp takes the newer version; the fleet uses it from now on')
    this.#write((stored) => ({ ...stored, inUse: { version, since: this.#deps.clock.nowMs() } }))
  }

  /** WhatsApp refused the version of that session. The current one is looked up, where that is not known. */
  refused(session: SessionKey): void {
    const version = this.of(session) ?? this.#inUse
    if (this.#trying?.session === session) this.#trying = undefined
    const refused = { version, at: this.#deps.clock.nowMs() }
    if (this.#known) this.#known = { ...this.#known, refused }
    this.#write((stored) => ({ ...stored, refused }))
    void this.look({ inHaste: true })
  }

  /**
   * Reads what the fleet knows; where it is this runner's turn, the page is then asked in the background. It never rejects; one
   * look at a time.
   */
  look({ inHaste = false } = {}): Promise<void> {
    if (this.#looking && inHaste) return this.#looking.then(() => this.look({ inHaste }))
    this.#looking ??= this.#look(inHaste)
      .catch((error: unknown) => {
        const { log } = this.#deps
        log.warn(
          { error: toError(error), inUse: this.#inUse },
          'the WhatsApp version of the fleet is not known',
        )
      })
      .finally(() => {
        this.#looking = undefined
      })
    return this.#looking
  }

  async #look(inHaste: boolean): Promise<void> {
    const { fleet, clock, readPage, chosen, builtIn } = this.#deps
    const nowMs = clock.nowMs()
    const everyMs = inHaste ? READ_AGAIN_MS : READ_EVERY_MS
    let isOurTurn = false
    this.#learn(
      await fleet.changeVersion((stored) => {
        const known = stored?.inUse.version
        const version = chosen ?? (known === undefined ? builtIn : newerVersion(known, builtIn))
        const inUse = stored?.inUse.version === version ? stored.inUse : { version, since: nowMs }
        isOurTurn = readPage !== undefined && nowMs - (stored?.askedAt ?? -Infinity) >= everyMs
        if (!isOurTurn) return stored?.inUse === inUse ? undefined : { ...stored, inUse }
        return { ...stored, inUse, askedAt: nowMs }
      }),
    )
    if (isOurTurn && readPage)
      void this.#read(readPage).catch((error: unknown) => {
        this.#deps.log.warn({ error: toError(error) }, 'the current WhatsApp version could not be stored')
      })
  }

  async #read(readPage: () => Promise<PageReading>): Promise<void> {
    const { fleet, clock, log } = this.#deps
    const reading = await readPage()
    const at = clock.nowMs()
    if ('trouble' in reading)
      log.warn(
        { why: reading.trouble, inUse: this.#inUse },
        'the current WhatsApp version can’t be read; the one in use stays',
      )
    else log.info({ version: reading.version, inUse: this.#inUse }, 'the current WhatsApp version was read')
    const told = await fleet.changeVersion((stored) => {
      if (!stored) return undefined
      if ('trouble' in reading) return { ...stored, trouble: { why: reading.trouble, at } }
      const { trouble: _, ...rest } = stored
      return { ...rest, current: { version: reading.version, at } }
    })
    this.#learn(told)
  }

  #learn(known: FleetVersion | undefined): void {
    if (!known) return
    this.#known = known
    const { version } = known.inUse
    // What was read before WhatsApp took a newer one comes too late.
    if (this.#deps.chosen !== undefined || compareVersions(version, this.#inUse) <= 0) return
    this.#inUse = version
    this.#deps.adopted()
  }

  /** A newer version than the one in use, which WhatsApp has not refused as well. */
  #candidate(): string | undefined {
    const { current, refused } = this.#known ?? {}
    if (this.#deps.chosen !== undefined || !current || current.version === refused?.version) return undefined
    return compareVersions(current.version, this.#inUse) > 0 ? current.version : undefined
  }

  #write(change: (stored: FleetVersion) => FleetVersion): void {
    const { fleet, log, clock } = this.#deps
    const begin = (): FleetVersion => ({ inUse: { version: this.#inUse, since: clock.nowMs() } })
    fleet
      .changeVersion((stored) => change(stored ?? begin()))
      .then((known) => {
        this.#learn(known)
      })
      .catch((error: unknown) => {
        log.warn({ error: toError(error) }, 'what WhatsApp said of our version could not be stored')
      })
  }
}
