import { CodedError } from '#shared/errors.ts'
import type { Want } from '#shared/session.ts'
import type { JobKind } from '#shared/store/job-store.ts'
import type { ControlApp, Services } from '../http/context.ts'
import { presentWithJob, requestJob } from '../session/request-job.ts'
import { answers, declare } from '../http/route.ts'
import { SessionParam, SessionSchema, SessionWithJobSchema } from '../present/schemas.ts'
import { changeWant, edit, findForChange, present } from '../session/session-access.ts'
import { withState } from '../session/want.ts'

const VERBS = {
  start: {
    summary: 'Want a session running',
    description: 'Idempotent. From stopped it also lifts a bar (conflict, failed …), since a person asked.',
    change: (want: Want) => (want.state === 'running' ? undefined : withState(want, 'running')),
  },
  stop: {
    summary: 'Want a session stopped',
    description: 'Idempotent. Keeps the credentials: start again and it connects without a QR.',
    change: (want: Want) => (want.state === 'stopped' ? undefined : withState(want, 'stopped')),
  },
  restart: {
    summary: 'Close the socket of a session and open a new one',
    description: 'Keeps the credentials, starts a stopped session, lifts every bar.',
    change: (want: Want) => edit(want, { state: 'running', restart: want.generation + 1 }),
  },
  resume: {
    summary: 'Let a session go on that waits for a person',
    description: 'Lifts the bar of conflict, failed, restricted and the like, and tries again at once.',
    change: (want: Want) => edit(want, { state: 'running', resume: want.generation + 1 }),
  },
} as const

const JOBS = {
  logout: {
    kind: 'logout',
    summary: 'Unlink a session from its phone',
    description:
      'stop keeps the credentials, logout unlinks the device, delete removes all. A labelled backup is taken first.',
  },
  reset: {
    kind: 'reset',
    summary: 'Put the credentials of a session away, so that it starts again from a QR',
    description:
      'A labelled backup is taken first. Then open a pairing window; once linked anew, the session takes the device that it ' +
      'was off the phone, and says in `superseded` how that went.',
  },
  'rotate-keys': {
    kind: 'rotate',
    summary: 'Give a session a new data key',
    description: 'What is stored is sealed anew; the old key is kept until nothing needs it.',
  },
} as const satisfies Record<string, { kind: JobKind; summary: string; description: string }>

/** The verbs of a session. The first four only change the want; the others need a runner, and are jobs. */
export function lifecycleRoutes(app: ControlApp, services: Services): void {
  const tags = ['sessions']

  for (const [verb, { summary, description, change }] of Object.entries(VERBS)) {
    const route = declare(
      services,
      { guarded: true, idempotent: true },
      {
        method: 'post',
        path: `/v1/sessions/{id}/${verb}`,
        tags,
        summary,
        description,
        request: { params: SessionParam },
        responses: { 202: answers(SessionSchema, 'The session, with its new want') },
      },
    )
    app.openapi(route, async (c) => {
      const found = await findForChange(services, c)
      return c.json(await present(services, c, await changeWant(services, c, found, verb, change)), 202)
    })
  }

  for (const [verb, { kind, summary, description }] of Object.entries(JOBS)) {
    const route = declare(
      services,
      { idempotent: true },
      {
        method: 'post',
        path: `/v1/sessions/{id}/${verb}`,
        tags,
        summary,
        description,
        request: { params: SessionParam },
        responses: { 202: answers(SessionWithJobSchema, 'The session, and the job that a runner will do') },
      },
    )
    app.openapi(route, async (c) => {
      const found = await findForChange(services, c)
      if (kind === 'logout' && found.session.status?.authenticatedAt === undefined) {
        throw new CodedError('no_state', 'There is nothing to log out of: the session was never paired.')
      }
      const job = await requestJob(services, c, found, { kind, shareOpen: true })
      return c.json(await presentWithJob(services, c, found, job), 202)
    })
  }
}
