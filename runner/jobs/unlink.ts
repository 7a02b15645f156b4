import { archive } from '../loop/steps/live.ts'
import { beginAfresh, type Result, type Work } from './work.ts'

/** Backs up, unlinks the device, and says truthfully whether WhatsApp confirmed it. */
export async function logout({ context, key, session, live, state }: Work): Promise<Result> {
  if (!live.paired) return { unlinked: 'not_paired' }
  const backup = await state.snapshot('logout', { label: 'logout' })
  // Without a connection the server can't be told; the device then stays in the list on the phone until this session is
  // linked anew and retires it, or until it expires there.
  const unlinked = live.socketIs === 'open' && live.socket ? await live.socket.logout() : 'not_connected'
  if (unlinked !== 'confirmed') live.supersede(backup.id, live.me?.jid ?? session.status?.jid)
  await live.closeSocket()
  live.verdict = undefined
  await state.reset([])
  live.restarted()
  live.block = { phase: 'logged_out', why: 'logged out on request', until: undefined, untilMs: undefined }
  context.log.info({ sessionId: key, unlinked }, 'session logged out')
  return { unlinked, snapshot: backup.id }
}

/** Starts again from nothing: the next thing is a pairing. What was there is kept under a label. */
export async function reset({ context, key, session, live }: Work): Promise<Result> {
  // The device stays in the phone's list until this session is linked anew and retires it, or a person removes it there.
  const stillLinked = live.paired ? session.status?.jid : undefined
  await live.closeSocket()
  live.verdict = undefined
  if (live.paired) await archive(context, key, live, 'reset')
  else await live.state?.reset([])
  live.restarted()
  beginAfresh(live)
  live.me = undefined
  live.authenticatedAt = undefined
  return stillLinked === undefined ? {} : { stillLinked }
}
