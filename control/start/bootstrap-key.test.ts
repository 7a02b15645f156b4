import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { readConfig } from '#shared/config.ts'
import { bootstrapKey, keyPepper, type BootstrapKey } from './bootstrap-key.ts'
import { welcome } from './welcome.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mooring-bootstrap-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const dataDir = (): string => join(folder, 'data')
const start = (env: Record<string, string> = {}): Promise<BootstrapKey> =>
  bootstrapKey(readConfig(env), dataDir(), randomBytes)

describe('the first admin key', () => {
  test('is made at the first start, and the same one is found at the next', async () => {
    const first = await start()
    expect(first).toMatchObject({ from: 'made', path: join(dataDir(), 'admin-key') })
    expect(first.text).toMatch(/^moor_[A-Za-z0-9_-]{43}$/)
    expect(await start()).toEqual({ ...first, from: 'file' })
  })

  test('is one that may be set as well', async () => {
    const { text } = await start()
    expect(readConfig({ MOORING_ADMIN_KEY: text }).MOORING_ADMIN_KEY).toBe(text)
  })

  test('lies in a file, and in a folder, that nobody else may read', async () => {
    const { text } = await start()
    const path = join(dataDir(), 'admin-key')
    expect(await readFile(path, 'utf8')).toBe(`${text}\n`)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await stat(dataDir())).mode & 0o777).toBe(0o700)
  })

  test('is the one of the settings where there is one, and nothing is written then', async () => {
    const text = `moor_${'k'.repeat(32)}`
    expect(await start({ MOORING_ADMIN_KEY: text })).toEqual({ text, from: 'setting' })
    await expect(readdir(dataDir())).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('is never exchanged in silence: a file without a key stops the start, and says which', async () => {
    await start()
    await writeFile(join(dataDir(), 'admin-key'), '\n')
    await expect(start()).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining(dataDir()),
    })
  })

  test('is refused, like the pepper, when others can read its file, with what to do', async () => {
    await start()
    await keyPepper(readConfig({}), dataDir(), randomBytes)
    const starts = {
      'admin-key': start,
      'key-pepper': () => keyPepper(readConfig({}), dataDir(), randomBytes),
    }
    for (const [name, again] of Object.entries(starts)) {
      const path = join(dataDir(), name)
      await chmod(path, 0o644)
      const refused = { code: 'config', message: expect.stringContaining(`chmod 600 ${path}`) }
      await expect(again()).rejects.toMatchObject(refused)
    }
  })

  test('that can not be made says why', async () => {
    await writeFile(dataDir(), 'a file')
    await expect(start()).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining(join(dataDir(), 'admin-key')),
      hint: expect.stringContaining('MOORING_DATA_DIR'),
    })
  })

  test('is one key, whichever of two processes that start together made it', async () => {
    const [first, second] = await Promise.all([start(), start()])
    expect(first.text).toBe(second.text)
    expect(await readdir(dataDir())).toEqual(['admin-key'])
  })
})

describe('the welcome', () => {
  const text = `moor_${'s'.repeat(43)}`
  const path = '/data/admin-key'
  const made: BootstrapKey = { text, from: 'made', path }

  /** What it writes, and where. */
  function written(key: BootstrapKey, { pretty = true, host = '127.0.0.1' } = {}) {
    const says = { stdout: '', stderr: '' }
    const writes = (['stdout', 'stderr'] as const).map((name) =>
      vi.spyOn(process[name], 'write').mockImplementation((chunk) => {
        says[name] += String(chunk)
        return true
      }),
    )
    welcome({ host, port: 8080, key, pretty })
    for (const write of writes) write.mockRestore()
    return says
  }

  test('shows a key that was made, this once', () => {
    const { stdout, stderr } = written(made)
    expect(stdout).toContain(text)
    expect(stdout).toContain('this once')
    expect(stderr).toBe('')
  })

  test.for<BootstrapKey>([
    { text, from: 'file', path },
    { text, from: 'setting' },
  ])('shows no key that comes from a $from, but where it is', (key) => {
    const { stdout } = written(key)
    expect(stdout).not.toContain(text)
    expect(stdout).toContain(key.from === 'file' ? path : 'MOORING_ADMIN_KEY')
  })

  test.for([
    ['127.0.0.1', 'http://127.0.0.1:8080', false],
    ['::1', 'http://[::1]:8080', false],
    ['192.168.1.7', 'http://192.168.1.7:8080', false],
    ['0.0.0.0', 'http://127.0.0.1:8080', true],
    ['::', 'http://[::1]:8080', true],
  ] as const)('tells where it listens: %s is at %s', ([host, url, everywhere]) => {
    const { stdout } = written(made, { host })
    expect(stdout).toContain(`Mooring is up at ${url} `)
    expect(stdout.includes('every address of this machine')).toBe(everywhere)
  })

  test('in a container says a key that was made a moment ago, once and beside the log', () => {
    const { stdout, stderr } = written(made, { pretty: false })
    expect(stdout).toBe('')
    expect(stderr).toBe(`mooring: admin key, shown this once and kept in ${path}: ${text}\n`)
  })

  test.for<BootstrapKey>([
    { text, from: 'file', path },
    { text, from: 'setting' },
  ])('in a container says nothing of a key that comes from a $from', (key) => {
    expect(written(key, { pretty: false })).toEqual({ stdout: '', stderr: '' })
  })
})
