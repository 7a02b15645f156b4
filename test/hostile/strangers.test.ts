import { expect, test } from 'vitest'
import { eventually } from '#test/e2e/eventually.ts'
import { jobDone, textsIn } from '#test/e2e/people.ts'
import { useSiege } from './siege.ts'

/**
 * What a stranger sends to a session, in numbers, on real processes. What each of these does to what is stored and shown is in
 * test/e2e/strangers.test.ts; here it is what they cost, and whom.
 */

const siege = useSiege()
const EVE = '4915999000001'

/** All that was sent to the session was taken: none of it is left to be brought again. */
const dealtWith = (): Promise<unknown> =>
  eventually('everything to be taken', async () => {
    const { queued, queuedOther } = await siege.world.whatsapp.device(siege.target.jid)
    return queued === 0 && queuedOther === 0
  })

test('F3 F5: copies in our own name are in nobody’s feed, however many', async () => {
  const { world, hostile, target } = siege
  await world.whatsapp.phone(EVE)
  await siege.underWatch(async () => {
    for (let at = 0; at < 200; at++) {
      const copy = { destinationJid: '4915199999999@s.whatsapp.net', message: { conversation: `forged ${at}` } }
      await world.whatsapp.forge(EVE, { to: target.phone, message: { deviceSentMessage: copy } })
    }
    await world.whatsapp.send(EVE, { to: target.phone, text: 'a true one' })
    await dealtWith()
  })
  await eventually('the true one', async () => (await textsIn(hostile, 'target')).includes('a true one'))
  expect((await textsIn(hostile, 'target')).filter((text) => text?.startsWith('forged'))).toEqual([])
})
