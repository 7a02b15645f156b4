import type { WhatsAppAdmin } from '#test/whatsapp/client.ts'
import type { Api, Phase, Removal, Session } from './api.ts'
import { eventually } from './eventually.ts'

/** What a person does, with the phone in one hand and the API in the other; and what they wait for. */

export interface Linked {
  readonly session: string
  readonly phone: string
  /** Of the device that the session is. */
  readonly jid: string
}

/** Creates a session and links it with a phone by scanning its QR; resolves when it is connected. */
export async function pairByQr(
  api: Api,
  whatsapp: WhatsAppAdmin,
  session: string,
  phone: string,
): Promise<Linked> {
  await api.create(session)
  return scanQr(api, whatsapp, session, phone)
}

/** Opens a pairing window for a session that exists, scans, and waits until it is connected. */
export async function scanQr(
  api: Api,
  whatsapp: WhatsAppAdmin,
  session: string,
  phone: string,
  more: object = {},
): Promise<Linked> {
  await whatsapp.phone(phone)
  await api.openPairing(session, more)
  const { qr } = await eventually(`the QR of ${session}`, () => api.qr(session))
  const { jid } = await whatsapp.scan(phone, qr)
  await connected(api, session, (seen) => seen.status.jid === jid)
  return { session, phone, jid }
}

/** Waits until the session is in this phase, and answers it. */
export const inPhase = (
  api: Api,
  session: string,
  phase: Phase,
  fits: (seen: Session) => unknown = () => true,
): Promise<Session> =>
  eventually(
    `${session} to be ${phase}`,
    () => api.get(session),
    (seen) => seen.status.phase === phase && fits(seen),
  )

export const connected = (api: Api, session: string, fits?: (seen: Session) => unknown): Promise<Session> =>
  inPhase(api, session, 'connected', fits)

/** Deletes a session, waits until that is worked off, and answers what has become of it. */
export async function removed(api: Api, session: string, purge = false): Promise<Removal> {
  const removal = await api.remove(session, purge)
  if (!removal) throw new Error(`${session} was not worth a removal`)
  return workedOff(api, removal.id)
}

export const workedOff = (api: Api, removal: string): Promise<Removal> =>
  eventually(
    `the removal ${removal} to be worked off`,
    () => api.removal(removal),
    ({ phase }) => phase !== 'unlinking',
  )

/** Waits for a job and answers what it did. @throws Error when it failed */
export async function jobDone(api: Api, session: string, job: string): Promise<Record<string, unknown>> {
  const ended = await eventually(
    `the job ${job} to end`,
    () => api.job(session, job),
    ({ state }) => state !== 'open',
  )
  if (ended.state === 'failed')
    throw new Error(`${ended.kind} failed: ${ended.error?.code} ${ended.error?.detail}`)
  return ended.result ?? {}
}

/** Texts that the session's feed holds, the oldest first. */
export const textsIn = async (api: Api, session: string): Promise<(string | undefined)[]> =>
  (await api.feed(session)).items.map(({ text }) => text)

/** Sends a text from the session to a phone, and waits until its person reads it there. */
async function reaches(
  api: Api,
  whatsapp: WhatsAppAdmin,
  session: string,
  to: string,
  text: string,
): Promise<void> {
  await api.send(session, to, text)
  await eventually(`${to} to read "${text}"`, async () =>
    (await whatsapp.messages(to)).some((message) => message.text === text),
  )
}

/** Sends a text from a phone to the session's phone, and waits until it is in the session's feed. */
async function arrives(
  api: Api,
  whatsapp: WhatsAppAdmin,
  linked: Linked,
  from: string,
  text: string,
): Promise<void> {
  await whatsapp.send(from, { to: linked.phone, text })
  await eventually(`"${text}" in the feed of ${linked.session}`, async () =>
    (await textsIn(api, linked.session)).includes(text),
  )
}

/** Both ways: proof that a session is as good as ever. */
export async function converse(
  api: Api,
  whatsapp: WhatsAppAdmin,
  linked: Linked,
  peer: string,
  word: string,
): Promise<void> {
  await whatsapp.phone(peer)
  await reaches(api, whatsapp, linked.session, peer, `${word}: from the session`)
  await arrives(api, whatsapp, linked, peer, `${word}: to the session`)
}
