import { z } from '@hono/zod-openapi'
import { accepts } from 'hono/accepts'
import { CodedError } from '#shared/errors.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
import { GRAVE_PHASES, type Phase, type Session } from '#shared/session.ts'
import { shownPairing } from '../session/shown-pairing.ts'
import { iso, phaseNow } from '../present/present.ts'
import { declare } from '../http/route.ts'
import { SessionParam, Time } from '../present/schemas.ts'
import { findSession } from '../session/session-access.ts'

const FORMATS = ['json', 'png', 'svg', 'text'] as const
type Format = (typeof FORMATS)[number]

const TYPES: Record<Format, string> = {
  json: 'application/json',
  png: 'image/png',
  svg: 'image/svg+xml',
  text: 'text/plain',
}

const PNG_WIDTH = 512

/** Proxies and browsers put up with answers that take so long. */
const WAIT_MAX_S = 30
/** Each look is two reads of the store; a person does not notice half a second. */
const LOOK_EVERY_MS = 500
/** One attempt that fails may be an accident; after two in a row the reason is worth more than the rest of the wait. */
const ATTEMPTS_TO_WAIT_FOR = 2
const QrSchema = z
  .object({ qr: z.string().openapi({ description: 'The text inside the QR.' }), expiresAt: Time })
  .openapi('Qr')

/** The QR of an open pairing window, for a program, a page or a terminal. */
export function qrRoutes(app: ControlApp, services: Services): void {
  const get = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/sessions/{id}/qr',
      tags: ['pairing'],
      summary: 'The QR to scan',
      description:
        'As JSON, PNG, SVG or text for a terminal, by Accept or ?format=. It changes every 20 to 60 seconds; expiresAt ' +
        'says when. 404 `no_qr` while there is none, with the reason; ?wait= waits for the first one of a window that is ' +
        'open, and answers earlier when none can come. A request that waits counts as an event stream.',
      request: {
        params: SessionParam,
        query: z.object({
          format: z.enum(FORMATS).optional(),
          wait: z.coerce
            .number()
            .min(0)
            .max(WAIT_MAX_S)
            .default(0)
            .openapi({
              description: `Seconds to wait for a QR, at most ${WAIT_MAX_S}.`,
            }),
        }),
      },
      responses: {
        200: {
          description: 'The QR',
          content: {
            'application/json': { schema: QrSchema },
            'image/png': { schema: z.string().openapi({ format: 'binary' }) },
            'image/svg+xml': { schema: z.string() },
            'text/plain': { schema: z.string() },
          },
        },
      },
    },
  )
  app.openapi(get, async (c) => {
    const shown = await shownQr(services, c, c.req.valid('query').wait * 1000)
    c.header('Expires', new Date(shown.expiresAt).toUTCString())
    const format = c.req.valid('query').format ?? formatByAccept(c)
    return draw(c, format, { qr: shown.qr, expiresAt: iso(shown.expiresAt) })
  })
}

/** The QR that is up, or the first one that comes within so long. @throws CodedError `no_qr`, `not_found` */
async function shownQr(
  services: Services,
  c: ControlContext,
  waitMs: number,
): Promise<{ qr: string; expiresAt: number }> {
  const { clock, quotas } = services
  const untilMs = clock.monotonicMs() + waitMs
  let leave: (() => void) | undefined
  try {
    for (;;) {
      const { session, owner } = await findSession(services, c)
      const { phase, reason } = phaseNow(session, owner, await services.fleet.view())
      const { qr, expiresAt, code } = shownPairing(session, phase, clock.nowMs()) ?? { expiresAt: 0 }
      if (qr !== undefined) return { qr, expiresAt }
      const leftMs = untilMs - clock.monotonicMs()
      if (leftMs <= 0 || c.req.raw.signal.aborted || !mayCome(session, phase, clock.nowMs())) {
        const why = code === undefined ? `The session is ${phase}.` : 'The window pairs by code.'
        throw new CodedError('no_qr', ['There is no QR to scan now.', why, reason].filter(Boolean).join(' '))
      }
      leave ??= await quotas.stream(c.get('caller'))
      await clock.sleep(Math.min(LOOK_EVERY_MS, leftMs), c.req.raw.signal).catch(() => undefined)
    }
  } finally {
    leave?.()
  }
}

/** Whether waiting makes sense: a window for a QR is open, and nothing that is known stands against it. */
function mayCome({ want, status }: Session, phase: Phase, nowMs: number): boolean {
  const window = want.pairing
  if (want.state === 'stopped' || window?.method !== 'qr') return false
  if (nowMs >= window.expiresAtMs || status?.endedWindowId === window.id) return false
  // What was seen before the window was opened says nothing about it.
  if (!status || status.observedGeneration < want.generation) return true
  return !GRAVE_PHASES.has(phase) && !(status.reason !== undefined && status.attempts >= ATTEMPTS_TO_WAIT_FOR)
}

function formatByAccept(c: ControlContext): Format {
  const type = accepts(c, { header: 'Accept', supports: Object.values(TYPES), default: TYPES.json })
  return FORMATS.find((format) => TYPES[format] === type) ?? 'json'
}

async function draw(c: ControlContext, format: Format, shown: z.infer<typeof QrSchema>): Promise<Response> {
  const type = { 'content-type': TYPES[format] }
  if (format === 'json') return c.json(shown, 200)
  // Loaded when somebody is about to scan: a control plane that was woken for something else starts sooner.
  const { default: QRCode } = await import('qrcode')
  switch (format) {
    case 'png':
      return c.body(new Uint8Array(await QRCode.toBuffer(shown.qr, { width: PNG_WIDTH })), 200, type)
    case 'svg':
      return c.body(await QRCode.toString(shown.qr, { type: 'svg' }), 200, type)
    case 'text':
      // With colours, because a terminal with a dark background would otherwise show a negative that phones refuse.
      return c.body(await QRCode.toString(shown.qr, { type: 'terminal', small: true }), 200, {
        'content-type': 'text/plain; charset=utf-8',
      })
  }
}
