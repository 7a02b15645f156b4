import { CodedError, hasCode, toError } from '#shared/errors.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Session } from '#shared/session.ts'
import { runJob, type JobNeeds } from '../jobs/jobs.ts'
import type { LiveSession } from '../session/live-session.ts'
import type { Basics, Sessions } from './needs.ts'
import type { Outcome, Step } from './plan.ts'
import {
  closeSocket,
  openSocket,
  rehydrate,
  type CloseNeeds,
  type OpenNeeds,
  type RehydrateNeeds,
} from './steps/connection.ts'
import {
  claim,
  dropSession,
  release,
  type ClaimNeeds,
  type DropNeeds,
  type ReleaseNeeds,
} from './steps/ownership.ts'
import { remove, type RemoveNeeds } from './steps/remove.ts'

/** What all the steps together need; each names its own part of it. */
export type ActNeeds = ClaimNeeds &
  RehydrateNeeds &
  OpenNeeds &
  CloseNeeds &
  DropNeeds &
  ReleaseNeeds &
  RemoveNeeds &
  JobNeeds

/** Obeys one step. No choices are left here but those that the stores make (a claim that is lost, an entry that is fenced). */
export async function act(
  context: ActNeeds,
  key: SessionKey,
  session: Session,
  step: Exclude<Step, { do: 'rest' }>,
): Promise<Outcome> {
  switch (step.do) {
    case 'claim':
      return claim(context, key, session)
    case 'open':
      return openSocket(context, key, session)
    case 'rehydrate':
      await rehydrate(context, key, session)
      break
    case 'close':
      await closeSocket(context, key, session, step.why)
      break
    case 'drop':
      await dropSession(context, key)
      break
    case 'release':
      await release(context, key)
      break
    case 'remove':
      await remove(context, key, session)
      break
    case 'job':
      await runJob(context, key, session, step.id)
      break
  }
  return 'taken'
}

const isStoreTrouble = (error: unknown): boolean => hasCode(error, 'store_unavailable', 'overloaded')

/** A step that failed: the store's trouble is waited out; anything else marks this session and nothing else. */
export function stepFailed(
  context: Basics & Sessions<Pick<LiveSession, 'waitUntil'>>,
  key: SessionKey,
  step: Step,
  thrown: unknown,
): void {
  const error = toError(thrown)
  context.log.error({ error, sessionId: key, step: step.do }, 'step failed')
  if (isStoreTrouble(error)) return
  const live = context.live.get(key)
  if (hasCode(error, 'fenced', 'lease_lost', 'closed')) return
  if (live && !(error instanceof CodedError)) live.waitUntil(context.clock.monotonicMs() + STEP_RETRY_MS)
}

const STEP_RETRY_MS = 5_000
