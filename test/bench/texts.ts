import { install } from '../e2e/installation.ts'
import { pairByQr } from '../e2e/people.ts'
import { startWhatsApp } from '../e2e/whatsapp-process.ts'
import { sendTexts } from '../soak/texts.ts'
import type { Figure } from './report.ts'

const COUNT = 10_000
const PER_SECOND = 100
const PEOPLE = 20

/** Texts at a rate over one session, with receipts: each is encrypted once, in the order of its chat. */
export async function benchTexts(): Promise<readonly Figure[]> {
  const standIn = await startWhatsApp()
  const installation = await install({ whatsappUrl: standIn.url })
  try {
    const { api } = await installation.start()
    const linked = await pairByQr(api, standIn.admin, 'shop', '4915100000000')
    const people = Array.from({ length: PEOPLE }, (_, at) => `49152${String(at).padStart(8, '0')}`)
    const ask = { api, whatsapp: standIn.admin, linked, people, count: COUNT, perSecond: PER_SECOND }
    const { acceptedPerSecond, seconds, encrypted, twice, outOfOrder, lost, states } = await sendTexts(ask)
    return [
      {
        name: `${COUNT} texts at ${PER_SECOND}/s over one session: encrypted, twice, out of order, lost`,
        value: `${encrypted}, ${twice}, ${outOfOrder}, ${lost}`,
        goal: `${COUNT}, 0, 0, 0`,
        note: `accepted at ${acceptedPerSecond}/s, all read after ${seconds} s, ${JSON.stringify(states)}`,
      },
    ]
  } finally {
    await installation.close()
    await standIn.child.end('SIGTERM')
  }
}
