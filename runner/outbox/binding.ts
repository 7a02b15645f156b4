import { hasCode } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { OutboxMove } from '#shared/store/outbox-moves.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'

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
    for (const { id, state, account } of page) {
      if (state !== 'queued' || account !== undefined) continue
      await store.move(key, id, move).catch((error: unknown) => {
        if (!hasCode(error, 'state_changed')) throw error
      })
    }
    after = page.at(-1)?.place
    if (page.length < PAGE) return
  }
}
