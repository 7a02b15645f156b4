import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { recordedLog } from '../../runner.fixture.ts'
import { A, account, meet, PEER } from '../signal.fixture.ts'
import { silenceConsole } from './silent-console.ts'

const METHODS = ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir'] as const

describe('the console', () => {
  const stock = { ...console }
  const written: unknown[] = []
  const write = process.stdout.write.bind(process.stdout)
  beforeEach(() => {
    process.stdout.write = (chunk: unknown) => written.push(chunk) > 0
  })
  afterEach(() => {
    process.stdout.write = write
    Object.assign(console, stock)
    written.length = 0
  })

  test('prints nothing any more, least of all keys', () => {
    const { log, lines } = recordedLog()
    silenceConsole(log)
    silenceConsole(log)
    for (const method of METHODS) console[method]('Closing session:', { privKey: 'secret' })
    expect(written).toEqual([])
    expect(lines).toMatchObject(METHODS.map((method) => ({ method, words: 2 })))
    expect(JSON.stringify(lines)).not.toContain('secret')
  })

  test('is where libsignal as it is prints the private keys of a session that it closes', async () => {
    const info = vi.spyOn(console, 'info').mockReturnValue()
    const [us, peer] = [account(A), account(PEER)]
    await meet(us, peer)
    await meet(us, peer)
    const [said, session] = info.mock.calls[0] ?? []
    expect(said).toBe('Closing session:')
    expect(session).toHaveProperty('currentRatchet.ephemeralKeyPair.privKey')
  })
})
