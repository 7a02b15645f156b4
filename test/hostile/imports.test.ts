import { expect, test } from 'vitest'
import { BOMB_PASSPHRASE, manyFrames, manyLists, manyNames } from '#runner/gate/gate.fixture.ts'
import { converse } from '#test/e2e/people.ts'
import { eventually } from '#test/e2e/eventually.ts'
import { importSeeded } from '#test/e2e/seeding.ts'
import { ask } from './ask.ts'
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
  const sessions = ['lists', 'frames', 'names', 'large-0', 'large-1', 'large-2', 'torn']
  for (const session of sessions) await hostile.create(session)
  const large = Buffer.alloc(LARGE_BYTES, 'A')
  large.write('{"files":{"creds.json":"')
  large.write('"}}', LARGE_BYTES - 3)
  const [lists, frames, names] = [await manyLists(), await manyFrames(), manyNames()]
  const creds = Buffer.from(`{"noiseKey":{"private":"${SECRET}`).toString('base64')
  const torn = Buffer.from(JSON.stringify({ files: { 'creds.json': creds } }))
  const runnersBefore = runner.child.pid

  const give = {
    'large-0': () => upload('large-0', large, JSON_TYPE),
    names: () => upload('names', names, JSON_TYPE),
    'large-1': () => upload('large-1', large, JSON_TYPE),
    'large-2': () => upload('large-2', large, JSON_TYPE),
    lists: () => upload('lists', lists, OCTETS),
    frames: () => upload('frames', frames, OCTETS),
    torn: () => upload('torn', torn, JSON_TYPE),
  }
  await siege.underWatch(async () => {
    const atOnce = ['large-0', 'names', 'large-1', 'large-2'] as const
    const answers = await Promise.all(atOnce.map((session) => give[session]()))
    // Two may be on their way; the others are told to come again, or find the connection closed before they read that.
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(2)
    expect(answers.filter(({ status }) => status === 429 || status === 0)).toHaveLength(2)
    const taken: string[] = atOnce.filter((_, at) => answers[at]?.status === 202)
    for (const session of ['lists', 'frames', 'torn'] as const) {
      expect((await give[session]()).status).toBe(202)
      taken.push(session)
    }
    for (const session of taken)
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
