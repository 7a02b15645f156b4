import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import { KEY, OTHER_KEY, bytes, silent } from './testing.ts'
import { fileWorkingCopies } from './working-copy.ts'

let folder: string
let dir: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mooring-copy-'))
  dir = join(folder, 'work')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const entry = (seq: number): JournalEntry => ({
  seq,
  epoch: 2,
  nonce: `n${seq}`,
  sealed: bytes(`sealed ${seq}`),
})
const tailPath = (): string => join(dir, `${encodeURIComponent(KEY)}.tail`)
const basePath = (): string => join(dir, `${encodeURIComponent(KEY)}.base`)

async function loaded(copies = fileWorkingCopies(dir, silent)) {
  const copy = await copies.load(KEY)
  if (!copy) return undefined
  const base = copy.pieces && Buffer.concat(await Array.fromAsync(copy.pieces)).toString()
  return { base, head: copy.head.seq, tail: copy.tail.map(({ seq }) => seq) }
}

async function noted(seqs: readonly number[], more: { base?: number } = {}) {
  const copies = fileWorkingCopies(dir, silent)
  if (more.base !== undefined)
    await copies.rebase(KEY, { epoch: 2, seq: more.base }, [bytes('ba'), bytes('se')])
  for (const seq of seqs) copies.append(KEY, entry(seq))
  await copies.settle()
  return copies
}

describe('a working copy', () => {
  test('A3 survives a restart: the base as it was written, and the entries since', async () => {
    await noted([5, 6, 7], { base: 4 })
    expect(await loaded()).toEqual({ base: 'base', head: 4, tail: [5, 6, 7] })
    const copy = await fileWorkingCopies(dir, silent).load(KEY)
    expect(copy?.tail).toEqual([entry(5), entry(6), entry(7)])
    expect(copy).toMatchObject({ seq: 7, epoch: 2, nonce: 'n7', head: { epoch: 2, seq: 4 } })
  })

  test('needs no base while the journal begins at 1', async () => {
    await noted([1, 2])
    expect(await loaded()).toEqual({ base: undefined, head: 0, tail: [1, 2] })
  })

  test('is nothing before the first entry, after it was dropped, and for another session', async () => {
    const copies = await noted([1, 2])
    expect(await copies.load(OTHER_KEY)).toBeUndefined()
    await copies.drop(KEY)
    expect(await loaded()).toBeUndefined()
    expect(await readdir(dir)).toEqual([])
    copies.append(KEY, entry(3))
    await copies.settle()
    expect(await loaded()).toBeUndefined()
  })

  test('tells whose copies are on the disk, of earlier starts too, and nothing of a dropped one stays', async () => {
    await noted([5], { base: 4 })
    const copies = fileWorkingCopies(dir, silent)
    copies.append(OTHER_KEY, entry(1))
    await copies.settle()
    await writeFile(`${basePath()}.new`, 'of a crash')
    expect(new Set(await copies.keys())).toEqual(new Set([KEY, OTHER_KEY]))
    await copies.drop(KEY)
    expect(await copies.keys()).toEqual([OTHER_KEY])
    expect(await readdir(dir)).toEqual([`${encodeURIComponent(OTHER_KEY)}.tail`])
  })

  test('a torn tail ends at its last whole entry, and what is noted next follows that', async () => {
    await noted([1, 2, 3])
    const whole = await readFile(tailPath())
    for (const cut of [1, 3, 10, 18]) {
      await writeFile(tailPath(), whole.subarray(0, whole.length - cut))
      expect((await loaded())?.tail).toEqual([1, 2])
      await noted([3, 4])
      expect((await loaded())?.tail).toEqual([1, 2, 3, 4])
    }
  })

  test('a damaged or foreign tail ends where it is good', async () => {
    await noted([1, 2])
    await appendFile(tailPath(), Buffer.concat([Buffer.from([0, 0, 0, 3]), bytes('???')]))
    expect((await loaded())?.tail).toEqual([1, 2])
    await writeFile(tailPath(), bytes('this is no tail at all'))
    expect(await loaded()).toBeUndefined()
  })

  test('an entry that is missing ends the tail before it; one that comes twice does not', async () => {
    await noted([1, 2, 2, 1, 3, 5, 6])
    expect((await loaded())?.tail).toEqual([1, 2, 3])
  })

  test('a tail without its base is nothing', async () => {
    await noted([5, 6], { base: 4 })
    await rm(basePath())
    expect(await loaded()).toBeUndefined()
  })

  test('a base that is cut off is nothing to begin with', async () => {
    await noted([5, 6], { base: 4 })
    await writeFile(basePath(), bytes('short'))
    expect(await loaded()).toBeUndefined()
  })

  test('a new base keeps the entries that came while it was written, on the disk or not', async () => {
    const copies = await noted([1, 2, 3, 4])
    copies.append(KEY, entry(5))
    await copies.rebase(KEY, { epoch: 2, seq: 2 }, [bytes('base')])
    copies.append(KEY, entry(6))
    await copies.settle()
    expect(await loaded()).toEqual({ base: 'base', head: 2, tail: [3, 4, 5, 6] })
    expect((await readdir(dir)).filter((name) => name.endsWith('.new'))).toEqual([])
  })

  test('a crash between the base and its tail leaves a copy that is good', async () => {
    await noted([1, 2, 3, 4])
    const before = await readFile(tailPath())
    await noted([], { base: 2 })
    await writeFile(tailPath(), before)
    expect(await loaded()).toEqual({ base: 'base', head: 2, tail: [3, 4] })
  })

  test('that is not used holds no file open', async () => {
    await noted([5], { base: 4 })
    const copies = fileWorkingCopies(dir, silent)
    const open = async () => (await readdir('/proc/self/fd').catch(() => [])).length
    const before = await open()
    for (let at = 0; at < 20; at++) await copies.load(KEY)
    expect(await open()).toBeLessThan(before + 10)
  })

  test('holds only what was sealed, readable by its owner only', async () => {
    await noted([5], { base: 4 })
    for (const path of [tailPath(), basePath()]) expect((await stat(path)).mode & 0o077).toBe(0)
  })

  test('stops at a size beyond which it saves nothing', async () => {
    const copies = fileWorkingCopies(dir, silent)
    const sealed = Buffer.alloc(3 * 1024 * 1024)
    for (const seq of [1, 2, 3, 4, 5]) copies.append(KEY, { ...entry(seq), sealed })
    await copies.settle()
    expect((await loaded())?.tail).toEqual([1, 2, 3])
  })

  test('B4 a place that can’t be written ends it, and nothing else', async () => {
    await writeFile(dir, 'a file where the folder should be')
    const copies = await noted([1, 2], { base: 0 })
    expect(await copies.load(KEY)).toBeUndefined()
    await copies.drop(KEY)
    await rm(dir)
    await mkdir(dir)
    await copies.rebase(KEY, { epoch: 2, seq: 4 }, [bytes('base')])
    copies.append(KEY, entry(5))
    await copies.settle()
    expect(await loaded()).toEqual({ base: 'base', head: 4, tail: [5] })
  })
})
