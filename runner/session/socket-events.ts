import type { PairingWindow } from '#shared/session.ts'
import type { CloseReport, SocketEvents } from '../whatsapp/socket.ts'
import type { SessionParts } from './session-parts.ts'

/**
 * What a connection tells, noted in the session; a pass of the loop acts on it. `isPresent` says whether it is still the
 * session's connection: what one that is over says of itself means nothing, what it says of messages does.
 */
export function socketEvents(
  parts: SessionParts,
  window: PairingWindow | undefined,
  isPresent: () => boolean,
): SocketEvents {
  const { key, deps, connection, identity, pairing, retry, traffic } = parts
  const { clock, wake, background } = deps
  return {
    qr: (text, expiresInMs) => {
      if (!window || !isPresent()) return
      const expiresAt = Math.min(clock.nowMs() + expiresInMs, window.expiresAtMs)
      background(key, () => show(parts, window, { qr: text, expiresAt }, isPresent))
    },
    paired: () => {
      if (!isPresent()) return
      parts.heard('link', () => {
        identity.linked(clock.nowMs())
        pairing.ended(window?.id)
      })
      wake(key)
    },
    open: (me) => {
      if (!isPresent()) return
      // While it is being ended the stage does not tell whether it was open already.
      if (connection.isClosing && connection.view.is === 'open') return
      parts.heard('opened', () => {
        connection.opened(clock.monotonicMs())
        identity.opened(me, clock.nowMs())
        pairing.done()
        retry.opened(() => wake(key))
        if (connection.socket && !connection.isClosing) traffic.opened(connection.socket, me)
      })
      wake(key)
    },
    acknowledged: (id, error) => traffic.acknowledged(id, error),
    receipt: (ids, kind, isFor) => traffic.outbox.receipt({ ids, kind, isFor }),
    received: () => traffic.received(),
    pairingRefresh: () => {
      if (!isPresent()) return
      pairing.secretChanged()
      connection.socket?.drop('watchdog', 'the secret that was shown no longer holds')
    },
    closed: (report) => {
      if (!isPresent()) return
      closed(parts, report)
      wake(key)
    },
  }
}

/** The present connection ended: what nobody asked for waits for a pass. */
export function closed(parts: SessionParts, report: CloseReport): void {
  const { key, deps, connection, lastClose } = parts
  const { view } = connection
  if (view.is === 'none') return
  parts.move('closed', () => {
    if (report.by === 'us') return parts.connectionOver(true)
    const verdict = lastClose.came(report, view.windowId, deps.clock.nowMs())
    parts.connectionOver(verdict.loginMayBeLate === true)
    if (verdict.why !== 'unknown') return
    const code = report.status ?? report.http
    deps.log.warn({ sessionId: key, code, raw: report.message }, 'close of an unknown kind')
  })
}

/** Nothing is shown to a person before the identity behind it is durable, or after its connection is over. */
async function show(
  parts: SessionParts,
  window: PairingWindow,
  qr: { qr: string; expiresAt: number },
  isPresent: () => boolean,
): Promise<void> {
  const { held, connection, pairing, deps, key } = parts
  const mayShow = (): boolean =>
    isPresent() &&
    parts.stage === 'connecting' &&
    !parts.identity.paired &&
    pairing.endedWindowId !== window.id
  await held.present?.journal.durable()
  if (!mayShow()) return
  const windowId = window.id
  if (window.method === 'qr') parts.move('show', () => pairing.show({ windowId, ...qr }))
  else if (!pairing.shown && window.phone) {
    const code = await connection.socket?.requestPairingCode(window.phone)
    if (code === undefined || !mayShow()) return
    // A code holds as long as its socket, which ends when the QR references run out or the window does.
    parts.move('show', () => pairing.show({ windowId, code, expiresAt: window.expiresAtMs }))
  } else return
  deps.wake(key)
}
