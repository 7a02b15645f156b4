import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

/**
 * The walls between the rooms, by planting what they forbid: a pattern that matches nothing forbids nothing, and lint is
 * as green as before. `#runner/*` is such a pattern for everything in a folder of `runner/`.
 */

const ROOT = join(import.meta.dirname, '../..')
const DEEP = '@whiskeysockets/baileys/lib/Utils/make-mutex.js'
const SIGNAL = ['libsignal', 'libsignal/src/curve.js']

const REFUSED: readonly [file: string, imports: readonly string[]][] = [
  [
    'runner/loop/a.ts',
    ['#control/http/app.ts', '#control/main.ts', '../../control/http/app.ts', DEEP, ...SIGNAL],
  ],
  ['runner/whatsapp/library/a.ts', ['#control/http/app.ts']],
  ['control/routes/a.ts', ['#runner/loop/plan.ts', '#runner/main.ts', '../../runner/runner.ts']],
  ['control/http/a.ts', ['@whiskeysockets/baileys', DEEP, ...SIGNAL]],
  ['shared/a.ts', ['#runner/loop/plan.ts', '#control/http/app.ts', '../control/http/app.ts']],
  ['shared/google/a.ts', ['@whiskeysockets/baileys', DEEP, ...SIGNAL]],
  ['test/e2e/a.ts', [DEEP, ...SIGNAL]],
]
const TAKEN: readonly [file: string, imports: readonly string[]][] = [
  ['runner/whatsapp/library/b.ts', [DEEP, ...SIGNAL]],
  ['runner/loop/b.ts', ['@whiskeysockets/baileys', '#shared/clock.ts', './plan.ts', '../session/block.ts']],
  ['test/whatsapp/b.ts', [DEEP, ...SIGNAL]],
  ['control/routes/b.ts', ['#shared/clock.ts', '../http/app.ts']],
]

let folder: string
let found: readonly { file: string; text: string }[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mooring-walls-'))
  await copyFile(join(ROOT, '.oxlintrc.json'), join(folder, '.oxlintrc.json'))
  for (const [file, imports] of [...REFUSED, ...TAKEN]) {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    const lines = imports.map((from, at) => `export { a${at} } from '${from}'\n`)
    await writeFile(join(folder, file), lines.join(''))
  }
  const oxlint = join(ROOT, 'node_modules/.bin/oxlint')
  const report = await new Promise<string>((resolve) => {
    execFile(oxlint, ['--format=json'], { cwd: folder }, (_error, stdout) => resolve(stdout))
  })
  const { diagnostics } = JSON.parse(report) as {
    diagnostics: { code: string; filename: string; message: string }[]
  }
  found = diagnostics
    .filter(({ code }) => code.includes('no-restricted-imports'))
    .map(({ filename, message }) => ({ file: filename, text: message }))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const refusedIn = (file: string, imports: readonly string[]): string[] =>
  imports.filter((from) => found.some((one) => one.file.endsWith(file) && one.text.includes(`'${from}'`)))

test.for(REFUSED)('%s may not import %j', ([file, imports]) => {
  expect(refusedIn(file, imports)).toEqual(imports)
})

test.for(TAKEN)('%s may import %j', ([file]) => {
  expect(found.filter((one) => one.file.endsWith(file))).toEqual([])
})
