import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isRoot, smallDisk } from '#test/contract/small-disk.ts'
import { startChild } from './child.ts'
import { startMooring, type MooringProcess } from './mooring-process.ts'

const ADMIN_KEY = `moor_${'e2e-admin-key-'.padEnd(40, 'x')}`
const NOBODY = 'ws://127.0.0.1:9'

let root: string
let cleanUps: (() => unknown)[]
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'mooring-disk-'))
  cleanUps = [() => rm(root, { recursive: true, force: true })]
})
afterEach(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp()
})

/** As `npm start` would with these files, without a setting but where they are. */
async function start(dataDir: string): Promise<MooringProcess> {
  const mooring = await startMooring({
    dataDir,
    workDir: '',
    adminKey: '',
    tenant: 'acme',
    whatsappUrl: NOBODY,
  })
  cleanUps.push(() => mooring.kill())
  return mooring
}

const STARTS: readonly [what: string, spoil: (dataDir: string) => Promise<unknown>, says: RegExp][] = [
  [
    'its data directory is a file',
    (dataDir) => writeFile(dataDir, ''),
    /data: a file stands.*\nSet MOORING_DATA_DIR/,
  ],
  [
    'its records are damaged',
    (dataDir) =>
      mkdir(dataDir, { mode: 0o700 }).then(() => writeFile(join(dataDir, 'records.db'), 'x'.repeat(9000))),
    /data\/records\.db: the file is damaged.*\nStop Mooring/,
  ],
  [
    'its records are gone and its key is not',
    async (dataDir) => {
      await (await start(dataDir)).stop()
      await rm(join(dataDir, 'records.db'))
    },
    /data\/records\.db is missing.*a key.*\nPut what is missing back/,
  ],
  [
    'its admin key is open to others',
    async (dataDir) => {
      await (await start(dataDir)).stop()
      await chmod(join(dataDir, 'admin-key'), 0o644)
    },
    /admin key .*data\/admin-key is open to others.*chmod 600/,
  ],
]

test.for(STARTS)(
  'a start where %s ends with 78, and a sentence on which file and what to do',
  async ([, spoil, says]) => {
    const dataDir = join(root, 'data')
    await spoil(dataDir)
    const child = startChild(['mooring.ts'], {
      MOORING_DATA_DIR: dataDir,
      PORT: '0',
      MOORING_LOG_LEVEL: 'silent',
    })
    cleanUps.push(() => child.end('SIGKILL'))
    expect((await child.ended).code).toBe(78)
    const said = child.lines.join('\n')
    expect(said).toMatch(says)
    expect(said).not.toMatch(/ at .*:\d+:\d+/)
  },
)

test('every file of a run is for its user alone, in a directory that was there before, whatever the umask', async () => {
  const dataDir = join(root, 'data')
  await mkdir(dataDir)
  await chmod(dataDir, 0o755)
  const mooring = await start(dataDir)
  const look = async (): Promise<string[]> => {
    const names = ['.', ...(await readdir(dataDir, { recursive: true }))]
    const modes = await Promise.all(
      names.map(async (name) => ({ name, mode: (await stat(join(dataDir, name))).mode })),
    )
    expect(modes.length).toBeGreaterThan(14)
    return modes.filter(({ mode }) => (mode & 0o077) !== 0).map(({ name }) => name)
  }
  expect(await look()).toEqual([])
  await mooring.stop()
  expect(await readdir(dataDir)).toEqual(
    expect.arrayContaining(['admin-key', 'key', 'key-pepper', 'records.db']),
  )
})

test.skipIf(!isRoot)('while its disk is full the API says so, and goes on when there is room', async () => {
  await using disk = await smallDisk()
  const { dataDir } = disk
  const mooring = await startMooring({
    dataDir,
    workDir: '',
    adminKey: ADMIN_KEY,
    tenant: 'acme',
    whatsappUrl: NOBODY,
    // A runner would still be at its start when the disk is full.
    env: { MOORING_ROLE: 'control' },
  })
  cleanUps.push(() => mooring.kill())
  await disk.fill()
  const post = async (number: number) => {
    const answer = await fetch(`http://127.0.0.1:${mooring.port}/v1/tenants`, {
      method: 'POST',
      headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' },
      body: JSON.stringify({ id: `t${number}`, name: 'x'.repeat(100) }),
    })
    return { status: answer.status, problem: (await answer.json()) as Record<string, unknown> }
  }
  // The log has room for some; then the disk is asked for more.
  let answer = await post(0)
  for (let number = 1; answer.status === 201 && number < 2000; number++) answer = await post(number)
  expect(answer).toMatchObject({
    status: 503,
    problem: {
      code: 'store_unavailable',
      detail: expect.stringContaining(`${dataDir}/records.db: no space is left on its disk`),
      hint: expect.stringContaining('Free some space'),
    },
  })
  await disk.free()
  expect((await post(9999)).status).toBe(201)
  await mooring.kill()
})
