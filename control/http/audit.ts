import type { SessionKey } from '#shared/ids.ts'
import { eventIdAt, type AuditEvent } from '#shared/store/event-store.ts'
import type { ControlContext, Services } from './context.ts'

/** How the audit trail names whoever sent this request. */
export const byOf = (c: ControlContext): string => `control:${c.get('caller').prefix}`

/**
 * Notes in the audit trail what a request has changed. It comes after the change, and failing to note it does not fail
 * the request: the change has happened, and a client that was told otherwise would be told wrong.
 */
export async function noteChange(
  services: Services,
  c: ControlContext,
  key: SessionKey,
  what: Pick<AuditEvent, 'kind' | 'from' | 'to' | 'why' | 'detail'>,
): Promise<void> {
  const at = services.clock.nowMs()
  try {
    await services.stores.events.append(key, {
      id: eventIdAt(at, services.random.id()),
      at,
      by: byOf(c),
      ...what,
    })
  } catch (error) {
    c.get('log').warn({ error, sessionId: key, kind: what.kind }, 'could not write to the audit trail')
  }
}
