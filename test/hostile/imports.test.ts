import { expect, test } from 'vitest'
import { BOMB_PASSPHRASE, manyFrames, manyLists, manyNames } from '#runner/gate/gate.fixture.ts'
import { converse } from '#test/e2e/people.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { importSeeded } from '#test/e2e/seeding.ts'
import { ask, tally } from './ask.ts'
import { useSiege } from './siege.ts'

/**
 * What a tenant uploads, on real processes that have the image's flags and as much memory as its containers. What the reader of an
 * import does by itself is in runner/gate/gate.test.ts.
 */

const siege = useSiege()
const JSON_TYPE = 'application/json'
const OCTETS = 'application/octet-stream'
/** As the first attack had it. */
const LARGE_BYTES = 58 * 1024 * 1024
const SECRET = 'c2VjcmV0IG9mIGEgdGVuYW50'

/** Uploads to a session that was never paired, and answers what became of it. */
async function upload(session: string, body: Uint8Array, type: string) {
  const { hostile } = siege
  const path = `/v1/sessions/${session}/import`
  const headers = {
    'content-type': type,
    ...(type === OCTETS ? { 'x-passphrase': BOMB_PASSPHRASE } : {}),
  }
  return ask(hostile, { method: 'POST', path, headers, body })
}

/** The imports that ended, by the trail that the tenant can read. */
async function refusedImports(session: string): Promise<string[]> {
  const events = await siege.hostile.events(session)
  return events.filter(({ kind, to }) => kind === 'job' && to === 'failed').map(({ why }) => why ?? '')
}
const refused = (session: string): Promise<string[]> =>
  eventually(
    `the import of ${session} to be refused`,
    () => refusedImports(session),
    (all) => all.length > 0,
    60_000,
  )

test('F3 F6: bombs and giants end the child that reads them and nothing else; nobody’s log has a piece of them', async () => {
  const { hostile, runner, control, world } = siege
  const sessions = ['lists', 'frames', 'names', 'large-0', 'large-1', 'large-2', 'large-3', 'torn']
  for (const session of sessions) await hostile.create(session)
  const large = Buffer.alloc(LARGE_BYTES, 'A')
  large.write('{"files":{"creds.json":"')
  large.write('"}}', LARGE_BYTES - 3)
  const [lists, frames, names] = [await manyLists(), await manyFrames(), manyNames()]
  const torn = Buffer.from(`{"noiseKey":{"private":"${SECRET}`).toString('base64')
  const runnersBefore = runner.child.pid

  await siege.underWatch(async () => {
    const answers = await Promise.all([
      ...[0, 1, 2, 3].map((at) => upload(`large-${at}`, large, JSON_TYPE)),
      upload('lists', lists, OCTETS),
    ])
    // Two at once may be on their way; the others are told to come again, or find the connection closed.
    const { 202: taken = 0, 429: later = 0, 0: closed = 0 } = tally(answers)
    expect([taken >= 1 && taken <= 2, taken + later + closed]).toEqual([true, 5])
    for (const [session, body, type] of [
      ['lists', lists, OCTETS],
      ['frames', frames, OCTETS],
      ['names', names, JSON_TYPE],
      ['torn', Buffer.from(JSON.stringify({ files: { 'creds.json': torn } })), JSON_TYPE],
    ] as const)
      expect((await upload(session, body, type)).status).toBe(202)
    for (const session of ['lists', 'frames', 'names', 'torn'])
      for (const why of await refused(session)) expect(why).toBe('import: bad_import')
  })

  expect(runner.child.pid).toBe(runnersBefore)
  for (const { child } of [runner, control]) {
    expect(
      child.lines.filter((line) => /"severity":"(?:ERROR|CRITICAL)"|"stack"|\bat .+:\d+:\d+/.test(line)),
    ).toEqual([])
    expect(child.lines.filter((line) => line.includes(SECRET) || line.includes('noiseKey'))).toEqual([])
  }
  // One that was attacked takes what is good, as if nothing had been.
  const [seeded] = await world.whatsapp.seed({ count: 1, prefix: '4916' })
  if (!seeded) throw new Error('a session is seeded')
  await hostile.remove('lists')
  const linked = await importSeeded(hostile, 'good', seeded)
  await converse(hostile, world.whatsapp, linked, world.newNumber(), 'after all that')
})
