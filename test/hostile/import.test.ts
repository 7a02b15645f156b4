import { randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { encodeCbor } from '#shared/cbor.ts'
import { ageSeal } from '#shared/sealing/age.ts'
import { plainBundle } from '#runner/state/plain-bundle.ts'
import type { RecordMap } from '#runner/state/record-map.ts'
import { connected, converse, jobDone } from '../e2e/people.ts'
import { importSeeded } from '../e2e/seeding.ts'
import { useWorld } from '../e2e/world.ts'

const world = useWorld()

/** As the image sets it (Dockerfile), but for the heap: 65 % of the 333 MiB that one import once ended. */
const IMAGE = { NODE_OPTIONS: '--max-old-space-size=216 --max-semi-space-size=8' }
const PASSPHRASE = 'correct horse battery staple'

const bundleOf = (...frames: Uint8Array[]): Promise<Buffer> => {
  const records = { repack: () => frames.map((packed) => ({ firstKey: '', packed })) } as unknown as RecordMap
  return ageSeal(Buffer.concat([...plainBundle(records, {})]), { passphrase: PASSPHRASE })
}
/** CBOR of a list of so many empty lists. */
const lists = (count: number): Buffer => {
  const head = Buffer.of(0x9a, 0, 0, 0, 0)
  head.writeUInt32BE(count, 1)
  return Buffer.concat([head, Buffer.alloc(count, 0x80)])
}

test('F3: imports that were made to end a process are refused, and a session beside them goes on talking', async () => {
  const mooring = await (await world.install()).start(IMAGE)
  const { api } = mooring
  const [seeded] = await world.whatsapp.seed({ count: 1 })
  if (!seeded) throw new Error('nothing was seeded')
  const quiet = await importSeeded(api, 'quiet', seeded)

  const bundles = [
    await bundleOf(zstdCompressSync(lists(63 << 20))),
    await bundleOf(
      ...Array.from({ length: 200 }, () => zstdCompressSync(encodeCbor(['a', Buffer.alloc(3 << 20)]))),
    ),
  ]
  const large = randomBytes(43 << 20).toString('base64')
  const folders = Array.from({ length: 4 }, () => ({ 'creds.json': large }))
  const jobs: [string, string][] = []
  for (const [at, bundle] of bundles.entries()) {
    await api.create(`bundle-${at}`)
    jobs.push([`bundle-${at}`, (await api.importBundle(`bundle-${at}`, bundle, PASSPHRASE)).job])
  }
  await Promise.all(folders.map((_, at) => api.create(`folder-${at}`)))
  await Promise.all(
    folders.map(async (files, at) => {
      jobs.push([`folder-${at}`, (await api.importFolder(`folder-${at}`, files)).job])
    }),
  )
  await converse(api, world.whatsapp, quiet, world.newNumber(), 'while it is attacked')
  for (const [session, job] of jobs) await expect(jobDone(api, session, job)).rejects.toThrow('bad_import')
  expect(mooring.child.alive).toBe(true)
  expect(mooring.log('event loop was held up; sessions are left to others for a while')).toEqual([])
  await connected(api, 'quiet', ({ status }) => status.jid === quiet.jid)
  expect((await world.whatsapp.device(quiet.jid)).openMax).toBe(1)
})
