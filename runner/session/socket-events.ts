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
  let hasQr = false
  return {
    qr: (text, expiresInMs) => {
      if (!window || !isPresent()) return
      const expiresAt = Math.min(clock.nowMs() + expiresInMs, window.expiresAtMs)
      const isFirst = !hasQr
      hasQr = true
      background(key, () => show(parts, window, { qr: text, expiresAt, isFirst }, isPresent))
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
    secretChanged: () => {
      if (!window || !isPresent()) return
      pairing.secretChanged()
      wake(key)
    },
    codeOutdated: () => {
      if (window?.method !== 'code' || !isPresent()) return
      pairing.hide()
      background(key, () => showCode(parts, window, isPresent))
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
    const { why, reason = why } = verdict
    if (view.windowId !== undefined && !parts.identity.paired && verdict.next.do === 'back_off')
      parts.pairing.hindered(reason)
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
  qr: { qr: string; expiresAt: number; isFirst: boolean },
  isPresent: () => boolean,
): Promise<void> {
  const { held, pairing, deps, key } = parts
  await held.present?.journal.durable()
  if (!mayShow(parts, window, isPresent)) return
  if (window.method === 'code') {
    // The first QR says that WhatsApp knows the connection; those that follow change nothing about the code.
    if (qr.isFirst) await showCode(parts, window, isPresent)
    return
  }
  parts.move('show', () => pairing.show({ windowId: window.id, qr: qr.qr, expiresAt: qr.expiresAt }))
  deps.wake(key)
}

/** Asks for a code, also for another one, and shows it once WhatsApp has taken it. */
async function showCode(parts: SessionParts, window: PairingWindow, isPresent: () => boolean): Promise<void> {
  const { connection, pairing, deps, key } = parts
  if (!mayShow(parts, window, isPresent) || window.phone === undefined) return
  const code = await connection.socket?.requestPairingCode(window.phone)
  if (code === undefined || !mayShow(parts, window, isPresent)) return
  // A code holds as long as its socket, which ends when the QR references run out or the window does.
  const shown = { windowId: window.id, code, expiresAt: window.expiresAtMs }
  parts.move('show', () => pairing.show(shown))
  deps.wake(key)
}

const mayShow = (parts: SessionParts, window: PairingWindow, isPresent: () => boolean): boolean =>
  isPresent() &&
  parts.stage === 'connecting' &&
  !parts.identity.paired &&
  parts.pairing.endedWindowId !== window.id
