import { expect, test } from 'vitest'
import { asked, circle, everybodyWrites, type Circle } from './circle.ts'
import { loseEntriesFrom, newestEntry, seenByStatus } from './damage.ts'
import { connected } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()

const NAME = 'acme~shop'

/**
 * The process ends, the journal loses its newest entries, and another process starts on an empty disk. After a release
 * the loss of the very last entry is seen, after a crash that of what the last status saw.
 */
async function loseTail(around: Circle, end: 'stop' | 'kill', entries: number): Promise<Circle> {
  const { installation, mooring } = around
  await mooring[end]()
  await installation.wipeWorkDir()
  const seen = end === 'stop' ? newestEntry : seenByStatus
  const from = seen(installation.dataDir, NAME) - entries + 1
  expect(loseEntriesFrom(installation.dataDir, NAME, from)).toBeGreaterThanOrEqual(entries)
  const next = await installation.start()
  return { ...around, mooring: next, api: next.api }
}

async function fallbacks({ api }: Circle): Promise<readonly (string | null | undefined)[]> {
  return (await api.events('shop')).filter(({ kind }) => kind === 'fallback').map(({ why }) => why)
}

test.for([
  // A few steps of each ratchet of ours, that of the group too.
  ['after a release', 'stop', 6],
  ['after a crash, up to the last status,', 'kill', 1],
] as const)(
  'C4: a journal whose newest entries are gone is never called complete: %s it is fenced, says so, and the group reads on',
  async ([, end, entries]) => {
    const first = await circle(world)
    await everybodyWrites(first, 'before')
    expect((await world.whatsapp.report()).retries).toEqual([])

    const around = await loseTail(first, end, entries)
    const { linked, mooring } = around
    await connected(around.api, 'shop', ({ status }) => status.jid === linked.jid)
    expect((await mooring.says('session rehydrated'))['complete']).toBe(false)
    expect(await fallbacks(around)).toContainEqual(expect.stringMatching(/newest entries are missing/))

    await everybodyWrites(around, 'after')
    const retries = asked((await world.whatsapp.report()).retries)
    // Nobody had to ask for what we wrote, alone or in the group: no ratchet of ours was rewound.
    expect([...retries.keys()].filter((pair) => pair.endsWith(`of ${linked.jid}`))).toEqual([])
    await world.whatsapp.resetReport()
    await everybodyWrites(around, 'later')
    expect((await world.whatsapp.report()).retries).toEqual([])

    // It is whole again: the next start finds nothing missing.
    await mooring.stop()
    const again = await around.installation.start()
    await connected(again.api, 'shop')
    expect((await again.says('session rehydrated'))['complete']).toBe(true)
    expect(await fallbacks({ ...around, api: again.api })).toHaveLength(1)
  },
)
