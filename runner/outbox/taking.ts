import { hasCode, type CodedError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Bodies } from '#shared/sealing/bodies.ts'
import { openPrepared, openRequest, sealPrepared } from '#shared/sealing/outbox-bodies.ts'
import type { OutboxMessage } from '#shared/store/outbox-message.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'
import type { WhatsAppSocket } from '../whatsapp/socket.ts'

/** What came of it. `aside`: why the store, or whoever opens it, can never have it. */
type Taking =
  | { is: 'taken'; message: OutboxMessage; prepared: Uint8Array }
  /** Withdrawn, or sent already; or somebody else's by now. */
  | { is: 'gone' }
  | { is: 'failed'; why: string; aside?: CodedError }

interface TakingDeps {
  key: SessionKey
  store: Pick<OutboxStore, 'move'>
  bodies: Bodies
}

/** Who takes it, as the store notes it. */
interface Taker {
  epoch: number
  account: string | undefined
  nowMs: number
}

/**
 * Prepares a message and takes it, in one conditional write: whoever comes next sends the same bytes under the same id. What
 * was taken by somebody before is sent in his form. Durable when it resolves; a repeat finds it taken.
 * @throws whatever can be tried again: the store is away, WhatsApp gave no answer
 */
export async function takeMessage(
  deps: TakingDeps,
  { message, lane, by }: { message: OutboxMessage; lane: string; by: Taker },
  socket: Pick<WhatsAppSocket, 'resolve' | 'prepare'>,
): Promise<Taking> {
  const { key, store, bodies } = deps
  const { id } = message
  const { epoch, account, nowMs } = by
  try {
    // What was taken once was somebody's then; asked again it could only be lost.
    if (!message.prepared && (await socket.resolve(message.to)) === 'not_on_whatsapp')
      return { is: 'failed', why: 'not_on_whatsapp' }
    const own = message.prepared ? undefined : await prepare(deps, message, socket)
    const stored = await store.move(key, id, {
      to: 'taken',
      epoch,
      chat: lane,
      nowMs,
      ...(account !== undefined && { account }),
      ...(own && { prepared: own.sealed }),
    })
    if (!stored?.prepared) return { is: 'gone' }
    const isOwn = own !== undefined && Buffer.compare(stored.prepared, own.sealed) === 0
    const prepared = isOwn ? own.plain : await openPrepared(bodies, key, id, stored.prepared)
    return { is: 'taken', message: stored, prepared }
  } catch (error) {
    if (hasCode(error, 'state_changed', 'fenced')) return { is: 'gone' }
    if (hasCode(error, 'store_refused')) return { is: 'failed', why: 'not_storable', aside: error }
    if (hasCode(error, 'bad_bytes')) return { is: 'failed', why: 'unreadable', aside: error }
    throw error
  }
}

async function prepare(
  { key, bodies }: TakingDeps,
  message: OutboxMessage,
  socket: Pick<WhatsAppSocket, 'prepare'>,
): Promise<{ plain: Uint8Array; sealed: Uint8Array }> {
  const { id, to } = message
  const plain = await socket.prepare({ id, to, request: await openRequest(bodies, key, message) })
  return { plain, sealed: await sealPrepared(bodies, key, id, plain) }
}
