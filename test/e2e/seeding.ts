import type { WhatsAppAdmin } from '#test/whatsapp/client.ts'
import type { SeededSession } from '#test/whatsapp/seed.ts'
import type { Api } from './api.ts'
import { connected, jobDone, type Linked } from './people.ts'

/** As many requests as a client sends at once without being asked to slow down. */
const AT_ONCE = 8

/** Sessions that were paired by another program once, imported: many times as quick as pairing them here. */
export async function seedSessions(
  api: Api,
  whatsapp: WhatsAppAdmin,
  names: readonly string[],
): Promise<Linked[]> {
  const seeded = await whatsapp.seed({ count: names.length })
  const waiting = seeded.map((session, index) => ({ session, name: names[index] ?? '' }))
  const linked: Linked[] = []
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift())
      linked.push(await importSeeded(api, next.name, next.session))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return names.flatMap((name) => linked.find(({ session }) => session === name) ?? [])
}

/** Creates the session and gives it the seeded credentials; resolves when it is connected. */
export async function importSeeded(api: Api, name: string, seeded: SeededSession): Promise<Linked> {
  await api.create(name)
  const { job } = await api.importFolder(name, folderOf(seeded), { cleanlyStopped: 'true' })
  await jobDone(api, name, job)
  await connected(api, name, ({ status }) => status.jid === seeded.jid)
  return { session: name, phone: seeded.phone, jid: seeded.jid }
}

/** The files of `useMultiFileAuthState`, by name, in base64: `/` in an id becomes `__` and `:` becomes `-`. */
export function folderOf({ creds, keys }: SeededSession): Record<string, string> {
  const files = Object.entries(JSON.parse(keys) as Record<string, Record<string, unknown>>).flatMap(
    ([kind, values]) =>
      Object.entries(values).map(([id, value]) => [`${kind}-${id}`, JSON.stringify(value)] as const),
  )
  return Object.fromEntries(
    [['creds', creds] as const, ...files].map(([name, text]) => [
      `${name.replaceAll('/', '__').replaceAll(':', '-')}.json`,
      Buffer.from(text).toString('base64'),
    ]),
  )
}
