import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startChild } from './child.ts'

const run = async (...args: string[]) => {
  const child = startChild(['test/demo.ts', ...args])
  const { code } = await child.ended
  return { code, text: child.lines.join('\n') }
}

test('A1 A3 A4: the demo shows a session that outlives its process and its disk, and leaves nothing behind', async () => {
  const { code, text } = await run()
  expect(text).toContain('was killed with SIGKILL')
  expect(text).toContain('nobody scanned anything')
  expect(text).toContain(
    '1 linked device, 1 connection at a time, 0 conflicts, 0 messages that could not be read',
  )
  expect(text).toContain('As promised.')
  expect(code).toBe(0)
  const [, dataDir = ''] = /its store is (\S+),/.exec(text) ?? []
  expect(dataDir).not.toBe('')
  expect(existsSync(dataDir)).toBe(false)
})

test('the demo ends with code 1 and says which promise was broken', async () => {
  const { code, text } = await run('--wipe-data')
  expect(text).toContain('not as promised: the session is remembered')
  expect(code).toBe(1)
})

test('the demo says how it is used', async () => {
  const { code, text } = await run('--help')
  expect(text).toContain('Usage: demo')
  expect(text).toContain('--wipe-data')
  expect(code).toBe(0)
})
