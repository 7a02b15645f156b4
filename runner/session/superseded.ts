import type { SupersededDevice } from '#shared/session.ts'
import type { SnapshotRecord } from '#shared/store/snapshot-store.ts'
import { judgeClose } from './disconnect.ts'
import type { UnlinkOutcome } from '../whatsapp/socket.ts'

/** Labels of backups whose device was put aside without being unlinked: a pairing that replaces, and a reset. */
export const PUT_ASIDE: ReadonlySet<string | undefined> = new Set(['superseded', 'reset'])
/** One try, and two more where only the way there was in trouble. */
const TRIES_MAX = 3
/** A status is read often; whoever links anew so many times in a month has other worries. */
const SHOWN_MAX = 10

/**
 * What the session was before, as a rehydration finds it: what the status says, and every backup of a device put aside that
 * the status knows nothing of, since a crash may come between the two. What retention has let go is forgotten. Pure.
 */
export function supersededBy(
  snapshots: readonly SnapshotRecord[],
  before: readonly SupersededDevice[],
): SupersededDevice[] {
  const kept = new Set(snapshots.map(({ id }) => id))
  const known = before.filter(({ snapshot }) => kept.has(snapshot))
  const told = new Set(known.map(({ snapshot }) => snapshot))
  const untold = snapshots
    .filter((one) => PUT_ASIDE.has(one.label) && one.quarantined === undefined && !told.has(one.id))
    .map(({ id, at }): SupersededDevice => ({ snapshot: id, state: 'pending', tries: 0, at }))
  return [...known, ...untold].toSorted((a, b) => a.at - b.at).slice(-SHOWN_MAX)
}

/** The same list with this device in its new state. Pure. */
export const withDevice = (
  list: readonly SupersededDevice[],
  device: SupersededDevice,
): readonly SupersededDevice[] =>
  [...list.filter(({ snapshot }) => snapshot !== device.snapshot), device]
    .toSorted((a, b) => a.at - b.at)
    .slice(-SHOWN_MAX)

/** Who a device is: the fields of credentials that tell one from another. */
interface Identity {
  me?: { id?: string } | null
  signedIdentityKey?: { public?: unknown }
}

/**
 * How archived credentials stand to those of the live device. `same` has to be left alone, whatever happened in between (a
 * restore). WhatsApp gives a number to one device of an account at a time: where only the key differs, the old one is gone.
 * Pure.
 */
export function compareDevices(archived: Identity, live: Identity): 'same' | 'number_taken' | 'another' {
  if (keyText(archived) === keyText(live)) return 'same'
  return deviceOf(archived.me?.id) === deviceOf(live.me?.id) ? 'number_taken' : 'another'
}

/** Account and device, without the domain: what two spellings of one device have in common. */
export const deviceOf = (jid: string | undefined): string | undefined => jid?.split('@')[0]

const keyText = ({ signedIdentityKey }: Identity): string => {
  const key = signedIdentityKey?.public
  return key instanceof Uint8Array ? Buffer.from(key).toString('base64') : JSON.stringify(key ?? null)
}

type Outcome = Pick<SupersededDevice, 'state' | 'why' | 'tries'>

/** What a person can do where the device can't take itself off. */
export const onThePhone = (why: string): Outcome & { state: 'still_linked' } => ({
  state: 'still_linked',
  why: `${why}; unlink it on the phone, under "Linked devices"`,
  tries: 0,
})

/** When WhatsApp is asked again: after the first and after the second try in vain. */
const AGAIN_AFTER_MS = [30_000, 180_000] as const
export const unlinkAgainAfterMs = (tries: number): number => AGAIN_AFTER_MS[tries - 1] ?? 0

/** What the last connection of a device means for it. Pure. */
export function judgeUnlink(answer: UnlinkOutcome, triesBefore: number): Outcome {
  const tries = triesBefore + 1
  const again = (why: string): Outcome =>
    tries < TRIES_MAX
      ? { state: 'pending', why, tries }
      : { ...onThePhone(`WhatsApp could not be asked in ${tries} tries (${why})`), tries }
  const confirmed: Outcome = { state: 'retired', why: 'WhatsApp confirmed that it is unlinked', tries }
  switch (answer.ended) {
    case 'confirmed':
      return confirmed
    case 'refused':
      return { ...onThePhone(`WhatsApp refused to unlink it (${answer.code ?? 'no code'})`), tries }
    case 'no_answer':
      return again('no answer')
    case 'closed': {
      const { why, next } = judgeClose(answer.report)
      // The end that unlinking brings may overtake the answer.
      if (next.do === 'block' && next.phase === 'logged_out')
        return answer.asked ? confirmed : { state: 'retired', why: 'it was not linked any more', tries }
      if (next.do === 'arbitrate')
        return { ...onThePhone('another process uses its credentials (replaced)'), tries }
      if ((next.do === 'back_off' && next.triesMax === undefined) || next.do === 'reconnect')
        return again(why)
      return { ...onThePhone(`WhatsApp did not let it in (${why})`), tries }
    }
  }
}
