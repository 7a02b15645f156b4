import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { greeting } from '#control/start/welcome.ts'
import { startMooring, type MooringProcess } from './mooring-process.ts'
import { useWorld } from './world.ts'

const world = useWorld()
const started: MooringProcess[] = []
afterEach(() => Promise.all(started.splice(0).map((mooring) => mooring.kill())))

test('E5: a first start without a terminal makes an admin key, says in which file it is, and shows it once beside the log', async () => {
  const { dataDir, workDir } = await world.install()
  const start = async (): Promise<{ mooring: MooringProcess; key: string }> => {
    const at = { dataDir, workDir, whatsappUrl: world.whatsappUrl, tenant: 'acme', adminKey: '' }
    const mooring = await startMooring(at)
    started.push(mooring)
    const { path } = await mooring.says('admin key is in this file')
    return { mooring, key: (await readFile(String(path), 'utf8')).trim() }
  }

  const first = await start()
  expect(first.key).toMatch(/^moor_/)
  const url = `http://127.0.0.1:${first.mooring.port}/v1/tenants`
  expect((await fetch(url, { headers: { 'x-api-key': first.key } })).status).toBe(200)
  expect((await fetch(url)).status).toBe(401)
  await first.mooring.stop()
  // A container has no shell to read the file with. The log is JSON, and has nothing of it.
  const shown = (mooring: MooringProcess) => mooring.child.lines.filter((line) => line.includes(first.key))
  expect(shown(first.mooring)).toEqual([expect.stringMatching(/^mooring: admin key, shown this once/)])

  const second = await start()
  expect(second.key).toBe(first.key)
  expect(shown(second.mooring)).toEqual([])
})

test.for(['made', 'file'] as const)(
  'E5: the commands of the welcome text work as they are pasted, and end with a QR in the terminal (key %s)',
  async (from) => {
    const { dataDir, workDir } = await world.install()
    const at = { dataDir, workDir, whatsappUrl: world.whatsappUrl, tenant: 'acme', adminKey: '' }
    const mooring = await startMooring(at)
    started.push(mooring)
    const { path } = await mooring.says('admin key is in this file')
    const text = (await readFile(String(path), 'utf8')).trim()
    const key = { text, from, path: String(path) }
    const lines = greeting({ host: '127.0.0.1', port: mooring.port, key, pretty: true })
    const commands = lines.filter((line) => line.startsWith('    ')).join('\n')
    const { stdout } = await promisify(execFile)('sh', ['-c', commands], { timeout: 60_000 })
    // Two rows of a QR stand in one line of half blocks.
    expect(stdout.split('\n').filter((line) => /[▀▄█]{8}/.test(line)).length).toBeGreaterThan(10)
  },
)
