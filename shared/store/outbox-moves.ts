import { CodedError } from '../errors.ts'
import { REACHED, type OutboxMessage, type OutboxState, type Reached } from './outbox-message.ts'

interface Row {
  from: OutboxState
  to: OutboxState
  /** The owner of the session, under its epoch; or whoever the API serves. */
  by: 'owner' | 'api'
  when: string
}

/**
 * Every move there is; what stands in no row is refused. A move to where a message is already changes nothing.
 *
 * `taken` to `taken` is the next owner's: what is prepared stays what the first one prepared, and from then on the
 * earlier owner is fenced. There is no way out of `sent`, `failed` and `withdrawn`; a receipt proves `sent`.
 */
export const OUTBOX_MOVES: readonly Row[] = [
  { from: 'queued', to: 'queued', by: 'owner', when: 'the first pairing binds it to the account' },
  {
    from: 'queued',
    to: 'taken',
    by: 'owner',
    when: 'its turn has come; nothing leaves before this is stored',
  },
  {
    from: 'queued',
    to: 'failed',
    by: 'owner',
    when: 'it expired, is of another account, or can not be kept',
  },
  { from: 'queued', to: 'withdrawn', by: 'api', when: 'its user took it back' },
  { from: 'taken', to: 'taken', by: 'owner', when: 'another owner goes on with it' },
  { from: 'taken', to: 'sent', by: 'owner', when: 'the server acknowledged it' },
  { from: 'sent', to: 'sent', by: 'owner', when: 'a receipt says how far it came; only ever further' },
  {
    from: 'taken',
    to: 'failed',
    by: 'owner',
    when: 'the server refused it, it expired, or is of another account',
  },
]

/** What is to become of a message. `epoch` is that of the owner who says so; only a withdrawal has none. */
export interface OutboxMove {
  to: OutboxState
  nowMs: number
  epoch?: number
  account?: string
  chat?: string
  prepared?: Uint8Array
  error?: OutboxMessage['error']
  reached?: Reached
}

/**
 * What a message is after a move; the very same object when nothing changes. Pure: every adapter decides by this, inside
 * its conditional write.
 * @throws CodedError `state_changed`, `fenced`
 */
export function moved(stored: OutboxMessage, move: OutboxMove): OutboxMessage {
  const { to, epoch, nowMs } = move
  const by = epoch === undefined ? 'api' : 'owner'
  if (epoch !== undefined && (stored.epoch ?? 0) > epoch)
    throw new CodedError('fenced', `move a message to ${to}: it was taken under a higher epoch`)
  const row = OUTBOX_MOVES.find((one) => one.from === stored.state && one.to === to && one.by === by)
  if (!row) {
    if (stored.state === to) return stored
    throw new CodedError('state_changed', `move a message to ${to}: it is ${stored.state}`)
  }
  const facts = factsOf(stored, move)
  const isSame = Object.entries(facts).every(([name, value]) => stored[name as keyof typeof facts] === value)
  if (stored.state === to && isSame) return stored
  return { ...stored, ...facts, state: to, updatedAt: nowMs }
}

const furtherOf = (one: Reached | undefined, other: Reached | undefined): Reached | undefined =>
  REACHED.findLast((each) => each === one || each === other)

/** What a move says of the message beside its state; what was said first of account, chat and form stays. */
function factsOf(stored: OutboxMessage, move: OutboxMove): Partial<OutboxMessage> {
  const account = stored.account ?? move.account
  const [chat, prepared] = [stored.chat ?? move.chat, stored.prepared ?? move.prepared]
  const reached = furtherOf(stored.reached, move.reached)
  return {
    ...(account !== undefined && { account }),
    ...(move.to === 'taken' && {
      epoch: move.epoch ?? 0,
      ...(chat !== undefined && { chat }),
      ...(prepared && { prepared }),
    }),
    ...(move.to === 'sent' && reached && { reached }),
    ...(move.to === 'failed' && move.error && { error: move.error }),
  }
}
