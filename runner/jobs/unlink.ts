import { archive } from '../loop/steps/live.ts'
import { blockUntil } from '../session/block.ts'
import type { Result, Work } from './work.ts'

/** Backs up, unlinks the device, and says truthfully whether WhatsApp confirmed it. */
export async function logout({ context, key, session, live, state }: Work): Promise<Result> {
  if (!live.identity.paired) return { unlinked: 'not_paired' }
  const backup = await state.snapshot('logout', { label: 'logout' })
  // Without a connection the server can't be told; the device then stays in the list on the phone until this session is
  // linked anew and retires it, or until it expires there.
  const unlinked = await live.logout()
  if (unlinked !== 'confirmed')
    live.superseded.add(backup.id, live.identity.me?.jid ?? session.status?.jid, context.clock.nowMs())
  await live.closeSocket()
  live.judged()
  await state.reset([])
  live.exchanged()
  live.blockBy(blockUntil(context.clock, 'logged_out', 'logged out on request'))
  context.log.info({ sessionId: key, unlinked }, 'session logged out')
  return { unlinked, snapshot: backup.id }
}

/** Starts again from nothing: the next thing is a pairing. What was there is kept under a label. */
export async function reset({ context, key, session, live }: Work): Promise<Result> {
  // The device stays in the phone's list until this session is linked anew and retires it, or a person removes it there.
  const stillLinked = live.identity.paired ? session.status?.jid : undefined
  await live.closeSocket()
  live.judged()
  if (live.identity.paired) await archive(context, key, live, 'reset')
  else await live.state?.reset([])
  live.exchanged()
  live.beginAfresh()
  live.forgetIdentity()
  return stillLinked === undefined ? {} : { stillLinked }
}
