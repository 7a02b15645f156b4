import { hasCode } from '#shared/errors.ts'
import { bareJid, type SessionKey } from '#shared/ids.ts'
import type { OutboxMessage } from '#shared/store/outbox-message.ts'
import type { OutboxMove } from '#shared/store/outbox-moves.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'

/** The account that a connection is logged in to. */
export interface Me {
  jid: string
  lid?: string | undefined
}

export const accountOf = ({ jid, lid }: Me): string => bareJid(lid ?? jid)

export const isBindable = ({ state, account }: OutboxMessage): boolean =>
  state === 'queued' && account === undefined

/** A message goes from the account it was accepted for, and from no other. */
export const isOfAccount = ({ account }: OutboxMessage, me: Me | undefined): boolean =>
  account === undefined || [me?.jid, me?.lid].some((own) => own !== undefined && bareJid(own) === account)

const PAGE = 100

/**
 * Binds everything that waits and is of no account yet to the one that was just paired. What was taken or withdrawn in the
 * meantime stays as it is. A repeat is harmless. @throws CodedError `store_unavailable`, `fenced`
 */
export async function bindWaiting(
  store: Pick<OutboxStore, 'pending' | 'move'>,
  key: SessionKey,
  move: OutboxMove,
): Promise<void> {
  let after: string | undefined
  for (;;) {
    const page = await store.pending(key, { limit: PAGE, ...(after !== undefined && { after }) })
    for (const message of page) {
      if (!isBindable(message)) continue
      await store.move(key, message.id, move).catch((error: unknown) => {
        if (!hasCode(error, 'state_changed')) throw error
      })
    }
    after = page.at(-1)?.place
    if (page.length < PAGE) return
  }
}
