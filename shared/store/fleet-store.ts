/**
 * Which version of WhatsApp's web client this fleet says that it is, and what is known of the present one. Versions are three
 * numbers with dots; times are milliseconds since 1970.
 */
export interface FleetVersion {
  inUse: { version: string; since: number }
  /** What the page of the web client named when it was last read. */
  current?: { version: string; at: number }
  /** When somebody last set out to read the page: then nobody else needs to for a while. */
  askedAt?: number
  /** Why the page told nothing the last time; gone once it does. */
  trouble?: { why: string; at: number }
  /** The newest version that WhatsApp refused (405). */
  refused?: { version: string; at: number }
}

/** What all runners of a fleet share beside their sessions: one small record. */
export interface FleetStore {
  /** `undefined` until a runner has written it. */
  version(): Promise<FleetVersion | undefined>

  /**
   * Replaces the record by what `change` makes of it, and answers what is stored then; when `change` answers `undefined`
   * nothing is written. `change` may run more than once and must be pure. Durable when it resolves.
   * @throws CodedError `conflict` (too many writers at once)
   */
  changeVersion(
    change: (stored: FleetVersion | undefined) => FleetVersion | undefined,
  ): Promise<FleetVersion | undefined>
}
