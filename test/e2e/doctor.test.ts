import { existsSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { damageSnapshots } from './damage.ts'
import { askDoctor } from './doctor.ts'
import { inPhase, jobDone, pairByQr } from './people.ts'
import { useWorld } from './world.ts'

const world = useWorld()

test('C6: the doctor shows who has credentials, which backups and which records, beside a Mooring that runs', async () => {
  const installation = await world.install()
  const { dataDir } = installation
  const mooring = await installation.start()
  const none = await askDoctor(dataDir)
  expect(none).toEqual({ code: 0, text: 'There are no sessions. POST /v1/sessions makes one.' })

  const linked = await pairByQr(mooring.api, world.whatsapp, 'shop', world.newNumber())
  await jobDone(mooring.api, 'shop', (await mooring.api.takeSnapshot('shop', 'kept')).job)
  await jobDone(mooring.api, 'shop', (await mooring.api.takeSnapshot('shop')).job)
  await mooring.api.create('empty')
  await inPhase(mooring.api, 'empty', 'unpaired')
  const well = await askDoctor(dataDir)
  expect(well.code).toBe(0)
  expect(well.text).toMatch(
    /^acme\/shop +connected +good +\d{4}-\d\d-\d\d \d\d:\d\dZ +\d .* 1 +\d+ \(epoch \d+\)/m,
  )
  expect(well.text).toMatch(/^acme\/empty +unpaired +none /m)
  expect(well.text).toMatch(/^sessions: 2, with credentials: 1, backups: \d+\nNothing needs a person\.$/m)
  expect(well.text).not.toContain(linked.phone)
  const session = await mooring.api.get('shop')
  expect(session.status.phase).toBe('connected')

  // A status outlives its runner; nobody holds the connection that it tells of.
  await mooring.kill()
  expect((await askDoctor(dataDir)).text).toMatch(/^acme\/shop +pending +good /m)
  expect(await damageSnapshots(dataDir, 'acme~shop')).toBeGreaterThan(0)
  await installation.wipeWorkDir()
  const again = await installation.start()
  await inPhase(again.api, 'shop', 'connected')
  const sick = await askDoctor(dataDir, '--json')
  expect(sick.code).toBe(1)
  const [shop] = sick.text
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; credentials: string; problems: string[] })
    .filter(({ id }) => id === 'shop')
  const damaged = expect.stringMatching(/is damaged/)
  expect(shop).toMatchObject({ credentials: 'good', problems: [damaged] })
})

test('C6: the doctor of a place where nothing was ever stored says so, and makes nothing there', async () => {
  const { dataDir } = await world.install()
  const answer = await askDoctor(dataDir)
  expect(answer.code).toBe(78)
  expect(answer.text).toContain('MOORING_DATA_DIR')
  expect(existsSync(dataDir)).toBe(false)
  await mkdir(dataDir)
  expect((await askDoctor(dataDir)).code).toBe(78)
  expect(await readdir(dataDir)).toEqual([])
})

test('C6: a tenant that can’t be one is refused by name', async () => {
  const installation = await world.install()
  await (await installation.start()).stop()
  const answer = await askDoctor(installation.dataDir, '--tenant', 'no/such')
  expect(answer.code).not.toBe(0)
  expect(answer.text).toMatch(/tenant/)
})
