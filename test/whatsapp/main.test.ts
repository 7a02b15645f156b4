import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { whatsappAdmin } from './client.ts'

test('the stand-in runs alone, says where it is, shows its phones, and ends on SIGTERM', async () => {
  const main = fileURLToPath(new URL('main.ts', import.meta.url))
  const child = spawn(process.execPath, [main, '--port', '0', '--admin-port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  try {
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
    const { url, adminUrl, pid } = JSON.parse(line) as { url: string; adminUrl: string; pid: number }
    expect(url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/ws\/chat$/)
    expect(pid).toBe(child.pid)
    await whatsappAdmin(adminUrl).phone('4915100000001', 'Ada')
    expect(await (await fetch(adminUrl)).text()).toContain('4915100000001 · Ada')
  } finally {
    child.kill('SIGTERM')
  }
  expect(await exited).toEqual([0, null])
})
