/** What is there to rebuild a session from, as listings say it; nothing has been opened yet. */
export interface RestoreListing {
  /** In any order. */
  snapshots: readonly {
    id: string
    seq: number
    at: number
    quarantined?: string | undefined
    archive?: true | undefined
  }[]
  /** The seqs of the first entry above each snapshot are not listed: gaps show when the entries are read. */
  journalHead: number
  /** A state that was rebuilt before the session was claimed, already checked against the journal at `seq`. */
  prepared?: { seq: number } | undefined
  /** A working copy that survived on this disk, checked alike. */
  local?: { seq: number } | undefined
}

/** A start can build on it: it is sound as far as is known, and holds the whole state. Pure. */
export const isBase = (snapshot: { quarantined?: string | undefined; archive?: true | undefined }): boolean =>
  snapshot.quarantined === undefined && snapshot.archive !== true

/** One way to rebuild: load a base, then replay the journal from `fromSeq`. */
export interface RestoreAttempt {
  base: { from: 'prepared' } | { from: 'local' } | { from: 'snapshot'; id: string } | { from: 'empty' }
  /** The seq that the base stands at. */
  seq: number
  fromSeq: number
}

/**
 * The ways to rebuild a session, best first: what was prepared, the copy on this disk, then the snapshots from the newest to
 * the oldest, then the journal alone (of use while it was never truncated), and last the archives, which lack what the
 * application has not got yet. The first that reaches the head without a gap wins; when none does, the one that reaches
 * furthest is taken and fenced. Pure.
 */
export function planRestore(listing: RestoreListing): readonly RestoreAttempt[] {
  const attempts: RestoreAttempt[] = []
  const usable = listing.snapshots
    .filter((snapshot) => snapshot.quarantined === undefined)
    .toSorted((a, b) => b.seq - a.seq || b.at - a.at)
  const bases = usable.filter(isBase)
  const newest = bases[0]
  for (const from of ['prepared', 'local'] as const) {
    const seq = listing[from]?.seq
    // Older than the newest snapshot it may lie before a jump, and would replay more than it saves.
    if (seq !== undefined && seq >= (newest?.seq ?? 0))
      attempts.push({ base: { from }, seq, fromSeq: seq + 1 })
  }
  const load = ({ id, seq }: { id: string; seq: number }): RestoreAttempt => ({
    base: { from: 'snapshot', id },
    seq,
    fromSeq: seq + 1,
  })
  attempts.push(...bases.map(load))
  if (listing.journalHead > 0) attempts.push({ base: { from: 'empty' }, seq: 0, fromSeq: 1 })
  attempts.push(...usable.filter((snapshot) => !isBase(snapshot)).map(load))
  return attempts
}

/** How far an attempt came. */
export interface Reach {
  attempt: RestoreAttempt
  /** The state stands at this seq. */
  seq: number
  /** Why it ended before the head; absent when it reached it. */
  stopped?: string | undefined
}

/** The furthest of several incomplete attempts; the earlier one where two came equally far. Pure. */
export function furthest(reaches: readonly Reach[]): Reach | undefined {
  return reaches.reduce<Reach | undefined>(
    (best, reach) => (best && best.seq >= reach.seq ? best : reach),
    undefined,
  )
}
