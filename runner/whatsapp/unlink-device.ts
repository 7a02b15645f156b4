import { makeWASocket, type BinaryNode } from '@whiskeysockets/baileys'
import type { Clock } from '#shared/clock.ts'
import type { Log } from '#shared/log.ts'
import { CREDS_KEY, decodeValue } from '../state/record.ts'
import { connectionAuth, type AuthSource } from './auth-state.ts'
import { commonOptions, LOGOUT_WITHIN_MS, unlinkRequest, type BaileysSettings } from './baileys-socket.ts'
import { closeReport } from './close-report.ts'
import { baileysLog } from './library/baileys-log.ts'
import { rawSocket } from './library/raw-socket.ts'
import { cachesOf } from './library/shared-cache.ts'
import type { Proxies } from './proxy.ts'
import type { UnlinkOutcome, UnlinkAsk, UnlinkDevice } from './socket.ts'
import { guardWire } from './wire-guard.ts'

/** From the start to the answer: the watchdog's time for a connection that comes to nothing, with time for the answer. */
const UNLINK_WITHIN_MS = 55_000

/**
 * The last connection of a superseded device (docs/facts/baileys.md §5). It takes nothing in: what is still
 * underway to that device is refused, and what it changes of its own state stays in memory.
 */
export function deviceUnlinker(deps: {
  settings: BaileysSettings
  proxies: Proxies
  clock: Clock
  log: Log | undefined
}): UnlinkDevice {
  const { settings, proxies, clock, log } = deps
  return async (ask) => {
    const auth = connectionAuth(inMemory(ask))
    const line = proxies(ask.key, ask.proxy)
    const sock = makeWASocket({
      auth,
      logger: baileysLog(log),
      ...commonOptions(settings, ask.version),
      ...line?.options,
      fireInitQueries: false,
      shouldIgnoreJid: () => true,
      shouldSyncHistoryMessage: () => false,
      ...cachesOf(`${ask.key} superseded`),
    })
    const raw = rawSocket(sock)
    const told = Promise.withResolvers<UnlinkOutcome>()
    let http: number | undefined
    let asked = false
    const closedWith = (error: Error | undefined): void =>
      told.resolve({
        ended: 'closed',
        asked,
        report: { ...closeReport(error, http), ...(line?.failure && { proxy: line.failure }) },
      })
    // Not a byte leaves once the session is somebody else's, or nobody needs this any more.
    if (raw) guardWire(raw, () => !ask.signal.aborted && ask.mayWrite())
    sock.ws.on('unexpected-response', (_request: unknown, response: { statusCode?: number }) => {
      http = response.statusCode
      closedWith(undefined)
    })
    sock.ev.on('connection.update', ({ connection, lastDisconnect }) => {
      if (connection === 'close') closedWith(lastDisconnect?.error)
      if (connection === 'open') void askToUnlink().then((answer) => answer && told.resolve(answer))
    })
    /** Nothing where the connection ended first; its end says why. */
    const askToUnlink = async (): Promise<UnlinkOutcome | undefined> => {
      try {
        asked = true
        const request = unlinkRequest(auth.creds.me?.id ?? '')
        const answer: BinaryNode | undefined = await sock.query(request, LOGOUT_WITHIN_MS)
        return answer?.attrs['type'] === 'result' ? { ended: 'confirmed' } : { ended: 'no_answer' }
      } catch (error) {
        const { data } = error as { data?: unknown }
        return typeof data === 'number' ? { ended: 'refused', code: data } : undefined
      }
    }
    const giveUp = (): void => told.resolve({ ended: 'no_answer' })
    const cancel = clock.after(UNLINK_WITHIN_MS, giveUp)
    ask.signal.addEventListener('abort', giveUp, { once: true })
    try {
      if (ask.signal.aborted) giveUp()
      return await told.promise
    } finally {
      cancel()
      ask.signal.removeEventListener('abort', giveUp)
      auth.close()
      void Promise.resolve(sock.end(new Error('unlinked'))).catch(() => undefined)
      raw?.terminate()
      line?.close()
    }
  }
}

/** Archived records under a connection, which never reach a journal. */
function inMemory({ records }: UnlinkAsk): AuthSource {
  const creds = records.get(CREDS_KEY)
  return {
    storedCreds: () => creds && decodeValue(creds),
    followCreds: () => undefined,
    records,
    journal: {
      set: async (changes) => {
        for (const [key, value] of changes) records.set(key, value)
      },
    },
  }
}
