import { expect, test } from 'vitest'
import { sessionName, type SessionId, type TenantId } from '#shared/ids.ts'
import { connected, converse, jobDone, pairByQr } from './people.ts'
import { filesBelow, readable, secretsOf } from './secrets.ts'
import { useWorld } from './world.ts'

const world = useWorld()

test('C7: no secret of a living session can be read in the data directory, the working directory or the log', async () => {
  const everything = { MOORING_LOG_LEVEL: 'trace', MOORING_BAILEYS_LOG_LEVEL: 'trace' }
  const installation = await world.install(everything)
  const first = await installation.start()
  const linked = await pairByQr(first.api, world.whatsapp, 'shop', world.newNumber())
  const peer = world.newNumber()
  await converse(first.api, world.whatsapp, linked, peer, 'before the backup')
  await jobDone(first.api, 'shop', (await first.api.takeSnapshot('shop', 'kept')).job)
  await first.kill()
  const second = await installation.start()
  await connected(second.api, 'shop')
  await converse(second.api, world.whatsapp, linked, peer, 'after the restart')
  await second.kill()

  const files = [...(await filesBelow(installation.dataDir)), ...(await filesBelow(installation.workDir))]
  const logs = installation.processes.map(({ child }) => Buffer.from(child.lines.join('\n')))
  const secrets = await secretsOf(installation.dataDir, sessionName('acme' as TenantId, 'shop' as SessionId))

  // The search has teeth: it knows all kinds of secrets, looked at what was written, and finds what lies open.
  const kinds = [
    'noiseKey.private',
    'signedIdentityKey.private',
    'advSecretKey',
    'privKey',
    'rootKey',
    'pre-key/',
  ]
  for (const kind of kinds) expect(secrets.map(({ name }) => name).join('\n')).toContain(kind)
  expect(files.filter(({ path }) => path.includes('journal.db')).length).toBeGreaterThan(0)
  expect(files.filter(({ path }) => path.startsWith(installation.workDir)).length).toBeGreaterThan(0)
  expect(logs.map((log) => log.includes('session rehydrated'))).toEqual([true, true])
  for (const { name, bytes } of secrets.slice(0, 40)) {
    for (const form of ['hex', 'base64', 'base64url'] as const)
      expect(readable(secrets, Buffer.from(`{"x":"${bytes.toString(form)}"}`))).toContain(name)
  }

  const found = files.map(({ path, content }) => ({ path, secrets: readable(secrets, content) }))
  expect(found.filter((one) => one.secrets.length > 0)).toEqual([])
  expect(logs.flatMap((log) => readable(secrets, log))).toEqual([])
})
