import { whatsappAdmin, type WhatsAppAdmin } from '#test/whatsapp/client.ts'
import { startChild, type Child } from './child.ts'
import { eventually } from './eventually.ts'

/** The stand-in for WhatsApp in a process of its own, so that it never shares an event loop with what it judges. */
export interface WhatsAppProcess {
  readonly child: Child
  readonly url: string
  readonly admin: WhatsAppAdmin
}

/** @throws Error with its last words when it ends before it listens */
export async function startWhatsApp(): Promise<WhatsAppProcess> {
  const child = startChild(['test/whatsapp/main.ts', '--port', '0', '--admin-port', '0'])
  const line = (): string | undefined => child.lines.find((text) => text.startsWith('{"url"'))
  await eventually('the stand-in to listen', () => line() ?? !child.alive)
  const text = line()
  if (text === undefined) throw new Error(`the stand-in did not start:\n${child.lines.join('\n')}`)
  const { url, adminUrl } = JSON.parse(text) as { url: string; adminUrl: string }
  return { child, url, admin: whatsappAdmin(adminUrl) }
}
