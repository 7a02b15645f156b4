import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import type { PairingWindow, Session, Want } from '#shared/session.ts'
import type { ControlApp, Services } from '../http/context.ts'
import { credentialsOf } from '../session/credentials.ts'
import { idFor } from '../http/idempotency.ts'
import { iso, phaseNow, presentWindow } from '../present/present.ts'
import { answers, body, declare } from '../http/route.ts'
import { SessionParam, SessionSchema, Time, WantSchema } from '../present/schemas.ts'
import { readPhoneNumber } from '../session/phone-number.ts'
import { changeWant, edit, findForChange, findSession, present, without } from '../session/session-access.ts'
import { shownPairing } from '../session/shown-pairing.ts'

const WINDOW_MS = 180_000
const WINDOW_MS_MIN = 20_000
const WINDOW_MS_MAX = 900_000

const windowMs = z.int().min(WINDOW_MS_MIN).max(WINDOW_MS_MAX).default(WINDOW_MS)
const replace = z.boolean().default(false).openapi({
  description: 'Link again although good credentials exist; the superseded device is retired afterwards.',
})
const phone = z.string().max(100).openapi({ example: '+49 151 23456789' })

const PairingRequest = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('qr'), replace, windowMs }),
  z.strictObject({ method: z.literal('code'), phone, replace, windowMs }),
])

const PAIRING_STATES = ['closed', 'opening', 'waiting', 'expired', 'paired', 'not_running'] as const
type PairingState = (typeof PAIRING_STATES)[number]

const PairingSchema = z
  .object({
    state: z.enum(PAIRING_STATES),
    explanation: z.string().openapi({ description: 'What is going on and what to do next, for people.' }),
    window: WantSchema.shape.pairing,
    qr: z.string().optional(),
    code: z.string().optional().openapi({ description: 'To be typed into the phone.' }),
    expiresAt: Time.optional().openapi({ description: 'When this QR or code is replaced by the next.' }),
  })
  .openapi('Pairing')

/** Pairing: never a QR without a person, so a window has to be opened, and it closes by itself. */
export function pairingRoutes(app: ControlApp, services: Services): void {
  const tags = ['pairing']

  const open = declare(
    services,
    { idempotent: true, guarded: true },
    {
      method: 'post',
      path: '/v1/sessions/{id}/pairing',
      tags,
      summary: 'Open a pairing window',
      description:
        'Then GET …/qr?wait=30, or read the code from GET …/pairing. Refused with 409 `already_paired` while good credentials ' +
        'exist, unless you say `replace`.',
      request: { params: SessionParam, body: body(PairingRequest) },
      responses: { 202: answers(SessionSchema, 'The session, with its window') },
    },
  )
  app.openapi(open, async (c) => {
    const asked = c.req.valid('json')
    const digits = asked.method === 'code' ? await readPhoneNumber(asked.phone, 'phone') : undefined
    const found = await findForChange(services, c)
    const { want } = found.session
    if (want.state === 'stopped') {
      throw new CodedError('not_running', 'A stopped session shows no QR; start it first.')
    }
    if (!asked.replace && ['good', 'doubtful'].includes(credentialsOf(found.session))) {
      throw new CodedError('already_paired', 'The session is paired and needs no QR.')
    }
    const openedAtMs = services.clock.nowMs()
    const window: PairingWindow = {
      id: idFor(c, services.random, 'pairing', found.key),
      method: asked.method,
      ...(digits === undefined ? {} : { phone: digits }),
      replace: asked.replace,
      openedAtMs,
      expiresAtMs: openedAtMs + asked.windowMs,
    }
    const changed = await changeWant(services, c, found, `pairing by ${asked.method}`, (want) =>
      want.pairing?.id === window.id ? undefined : openWindow(want, found.session, window),
    )
    return c.json(await present(services, c, changed), 202)
  })

  const get = declare(
    services,
    {},
    {
      method: 'get',
      path: '/v1/sessions/{id}/pairing',
      tags,
      summary: 'How the pairing goes',
      request: { params: SessionParam },
      responses: { 200: answers(PairingSchema, 'The state of the window') },
    },
  )
  app.openapi(get, async (c) => {
    const { session, owner } = await findSession(services, c)
    const { phase, reason } = phaseNow(session, owner, await services.fleet.view())
    const nowMs = services.clock.nowMs()
    const window = session.want.pairing
    const shown = shownPairing(session, phase, nowMs)
    const state = pairingState(session, shown !== undefined, nowMs)
    return c.json(
      {
        state,
        explanation: reason === undefined ? EXPLANATIONS[state] : `${EXPLANATIONS[state]} ${reason}`,
        ...(window ? { window: presentWindow(window) } : {}),
        ...(shown
          ? {
              ...(shown.qr === undefined ? {} : { qr: shown.qr }),
              ...(shown.code === undefined ? {} : { code: shown.code }),
              expiresAt: iso(shown.expiresAt),
            }
          : {}),
      },
      200,
    )
  })

  const close = declare(
    services,
    { guarded: true },
    {
      method: 'delete',
      path: '/v1/sessions/{id}/pairing',
      tags,
      summary: 'Close the pairing window',
      description: 'Idempotent.',
      request: { params: SessionParam },
      responses: { 200: answers(SessionSchema, 'The session, without a window') },
    },
  )
  app.openapi(close, async (c) => {
    const found = await findForChange(services, c)
    const changed = await changeWant(services, c, found, 'pairing closed', (want) =>
      want.pairing === undefined ? undefined : without(edit(want, {}), 'pairing'),
    )
    return c.json(await present(services, c, changed), 200)
  })
}

/** Phases that a session left only because a person acts; opening a window is such an act. */
const ENDED = new Set(['logged_out', 'unpaired', 'banned', 'failed'])

const openWindow = (want: Want, session: Session, pairing: PairingWindow): Omit<Want, 'generation'> =>
  ENDED.has(session.status?.phase ?? '')
    ? edit(want, { pairing, resume: want.generation + 1 })
    : edit(want, { pairing })

function pairingState(session: Session, isShown: boolean, nowMs: number): PairingState {
  const { want } = session
  const { pairing } = want
  const pending =
    pairing !== undefined && pairing.expiresAtMs > nowMs && pairing.id !== session.status?.endedWindowId
  if (isShown) return 'waiting'
  const credentials = credentialsOf(session)
  if ((credentials === 'good' || credentials === 'doubtful') && !(pending && want.pairing?.replace)) {
    return 'paired'
  }
  if (want.state === 'stopped') return 'not_running'
  if (pending) return 'opening'
  return want.pairing ? 'expired' : 'closed'
}

const EXPLANATIONS: Record<PairingState, string> = {
  closed: 'No pairing window is open, so no QR is shown. POST to this address to open one.',
  opening: 'The window is open; the QR or code is on its way.',
  waiting: 'Scan the QR, or type the code, under "Linked devices" on the phone.',
  expired: 'The window is over, and no phone was linked. POST to this address to open another.',
  paired: 'The session is paired and needs no QR.',
  not_running: 'The session is stopped. Start it, then open a pairing window.',
}
