/**
 * The rehearsal of the image is a check like any other, so it is checked too: it must pass a program that behaves and
 * refuse one that does not. The real program goes through `infra/rehearse-image.sh` without arguments.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const script = join(import.meta.dirname, 'rehearse-image.sh')
const missing = whatIsMissing()
if (missing !== undefined) console.warn(`The image rehearsal is skipped: ${missing}.`)

const listen = (end: string) => `
  import { createServer } from 'node:http'
  import { writeFileSync } from 'node:fs'
  const server = createServer((request, response) => response.end('ok'))
  server.listen(Number(process.env.PORT))
  ${end}
`

test.skipIf(missing !== undefined)('passes a program that keeps every promise of the image', () => {
  const { status, stdout } = rehearse(
    listen(`writeFileSync(process.env.MOORING_WORK_DIR + '-probe', '')
    process.on('SIGTERM', () => server.close(() => process.exit(0)))`),
  )
  expect(stdout).toMatch(/PID 1\s+yes/)
  expect(stdout).toMatch(/SIGTERM\s+ended with 0/)
  expect(status).toBe(0)
})

test.skipIf(missing !== undefined)('refuses a program that ends badly on SIGTERM', () => {
  const { status, stderr } = rehearse(listen(`process.on('SIGTERM', () => process.exit(3))`))
  expect(stderr).toContain('broken: ended with 3 after SIGTERM')
  expect(status).toBe(1)
})

test.skipIf(missing !== undefined)('refuses a program that writes beside its work directory', () => {
  const { status, stderr } = rehearse(listen(`writeFileSync('state.json', '{}')`))
  expect(stderr).toMatch(/EROFS|EACCES/)
  expect(stderr).toContain('broken: the program ended before it was ready')
  expect(status).toBe(1)
})

function rehearse(program: string): { status: number | null; stdout: string; stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-program-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'program.ts'), program)
  return spawnSync('bash', [script, '--program', join(folder, 'program.ts')], { encoding: 'utf8' })
}

function whatIsMissing(): string | undefined {
  if (process.platform !== 'linux') return 'it needs Linux'
  if (process.getuid?.() !== 0) return 'it needs root'
  try {
    execFileSync('unshare', ['--mount', '--pid', '--fork', 'mount', '--make-rprivate', '/'], {
      stdio: 'ignore',
    })
    execFileSync('sh', ['-c', 'command -v curl setpriv nsenter pgrep'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'namespaces can not be made here, or curl, setpriv, nsenter or pgrep is missing'
  }
}
