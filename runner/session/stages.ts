import { CodedError } from '#shared/errors.ts'

/** Where a session in hand is. */
export const STAGES = [
  'bare', // nothing of its state is here
  'rehydrating',
  'ready', // rebuilt, and free to connect
  'blocked', // rebuilt, and something keeps its connection closed
  'judging', // its connection ended, and no pass has dealt with that
  'connecting',
  'open',
  'closing', // its connection is being ended in order
  'settled', // everything is durable, and nothing is written any more: another may own it
  'dropped', // given up at once, without a word to anybody
] as const
export type Stage = (typeof STAGES)[number]

/**
 * The moves of a session in hand: from which stage each is allowed, and where it leads; `=` stays. Whatever is not in a row
 * is refused. A test compares this table with the one below it, and walks both.
 *
 * | move           | from → to                                                                                           |
 * | -------------- | --------------------------------------------------------------------------------------------------- |
 * | rehydrate      | bare → rehydrating, dropped → rehydrating                                                           |
 * | rehydrated     | rehydrating → ready or blocked or judging                                                           |
 * | not_rehydrated | rehydrating → bare                                                                                  |
 * | connect        | ready → connecting                                                                                  |
 * | show           | connecting =                                                                                        |
 * | link           | connecting =, closing =                                                                             |
 * | opened         | connecting → open, closing =                                                                        |
 * | close          | connecting → closing, open → closing                                                                |
 * | closed         | connecting → ready or judging, open → ready or judging, closing → ready or judging                  |
 * | judged         | bare =, ready =, blocked =, judging → ready or blocked, dropped =                                   |
 * | back_off       | bare =, ready =, blocked =, dropped =                                                               |
 * | block          | bare =, ready → blocked, blocked =, judging =, dropped =                                            |
 * | block_over     | blocked → ready                                                                                     |
 * | exchanged      | ready =, blocked =, judging =                                                                       |
 * | begin_afresh   | ready =, blocked → ready, judging → ready                                                           |
 * | archived       | ready =, blocked =, judging =                                                                       |
 * | settle         | bare =, ready → settled, blocked → settled, judging → settled, settled =, dropped =                 |
 * | unload         | bare =, settled → bare, dropped → bare                                                              |
 * | drop           | every stage → dropped                                                                               |
 *
 * A drop may come while a step waits for something: what the step does next is refused as `lease_lost`, unless it goes
 * without a state as well. Everything else that is refused is a mistake of ours.
 */
export const MOVES = {
  rehydrate: { bare: ['rehydrating'], dropped: ['rehydrating'] },
  rehydrated: { rehydrating: ['ready', 'blocked', 'judging'] },
  not_rehydrated: { rehydrating: ['bare'] },
  connect: { ready: ['connecting'] },
  show: { connecting: ['connecting'] },
  link: { connecting: ['connecting'], closing: ['closing'] },
  opened: { connecting: ['open'], closing: ['closing'] },
  close: { connecting: ['closing'], open: ['closing'] },
  closed: { connecting: ['ready', 'judging'], open: ['ready', 'judging'], closing: ['ready', 'judging'] },
  judged: {
    bare: ['bare'],
    ready: ['ready'],
    blocked: ['blocked'],
    judging: ['ready', 'blocked'],
    dropped: ['dropped'],
  },
  back_off: { bare: ['bare'], ready: ['ready'], blocked: ['blocked'], dropped: ['dropped'] },
  block: {
    bare: ['bare'],
    ready: ['blocked'],
    blocked: ['blocked'],
    judging: ['judging'],
    dropped: ['dropped'],
  },
  block_over: { blocked: ['ready'] },
  exchanged: { ready: ['ready'], blocked: ['blocked'], judging: ['judging'] },
  begin_afresh: { ready: ['ready'], blocked: ['ready'], judging: ['ready'] },
  archived: { ready: ['ready'], blocked: ['blocked'], judging: ['judging'] },
  settle: {
    bare: ['bare'],
    ready: ['settled'],
    blocked: ['settled'],
    judging: ['settled'],
    settled: ['settled'],
    dropped: ['dropped'],
  },
  unload: { bare: ['bare'], settled: ['bare'], dropped: ['bare'] },
  drop: {
    bare: ['dropped'],
    rehydrating: ['dropped'],
    ready: ['dropped'],
    blocked: ['dropped'],
    judging: ['dropped'],
    connecting: ['dropped'],
    open: ['dropped'],
    closing: ['dropped'],
    settled: ['dropped'],
    dropped: ['dropped'],
  },
} as const satisfies Record<string, { readonly [From in Stage]?: readonly Stage[] }>
export type Move = keyof typeof MOVES

/** Where a move may lead from a stage; `undefined` where it makes no sense. Pure. */
export function leadsTo(move: Move, from: Stage): readonly Stage[] | undefined {
  const row: { readonly [From in Stage]?: readonly Stage[] } = MOVES[move]
  return row[from]
}

/**
 * Makes a move: refuses it where the table does not have it, and fails where it ended elsewhere than the table says.
 * @throws CodedError `lease_lost` for what a step goes on to do with a session that was dropped meanwhile
 */
export function makeMove(move: Move, stage: () => Stage, work: () => void): void {
  const from = stage()
  const targets = leadsTo(move, from)
  if (!targets) {
    if (from === 'dropped') throw new CodedError('lease_lost', `${move}: the session was dropped`)
    throw new Error(`a session that is ${from} makes no move ${move}`)
  }
  work()
  const to = stage()
  if (!targets.includes(to)) throw new Error(`the move ${move} led from ${from} to ${to}`)
}
