import { z } from '@hono/zod-openapi'
import { accepts } from 'hono/accepts'
import { CodedError } from '#shared/errors.ts'
import type { ControlApp, ControlContext, Services } from '../http/context.ts'
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
        'says when. 404 `no_qr` while there is none.',
      request: { params: SessionParam, query: z.object({ format: z.enum(FORMATS).optional() }) },
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
    const { session, owner } = await findSession(services, c)
    const { phase } = phaseNow(session, owner, await services.fleet.view())
    const shown = shownPairing(session, phase, services.clock.nowMs())
    if (shown?.qr === undefined) {
      const why = shown?.code === undefined ? `The session is ${phase}.` : 'The window pairs by code.'
      throw new CodedError('no_qr', `There is no QR to scan now. ${why}`)
    }
    c.header('Expires', new Date(shown.expiresAt).toUTCString())
    const format = c.req.valid('query').format ?? formatByAccept(c)
    return draw(c, format, { qr: shown.qr, expiresAt: iso(shown.expiresAt) })
  })
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
