import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useMultiFileAuthState } from '@whiskeysockets/baileys'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { revive } from './client.ts'
import { pn, testWorld, until, type TestWorld } from './testing.ts'

let world: TestWorld

beforeEach(async () => {
  world = await testWorld()
})
afterEach(() => world.close())

test('seeded sessions log in, write to each other and need no retry', async () => {
  const sessions = await world.admin.seed({ count: 2 })
  const clients = sessions.map((session) => world.connect(revive(session)))
  await Promise.all(clients.map((client) => client.opened()))
  const [from, to] = [clients[0], clients[1]]
  await from?.sock.sendMessage(pn(sessions[1]?.phone ?? ''), { text: 'hello' })
  await until(() => to?.texts().includes('hello'), 'the text')
  const { totals, devices } = await world.admin.report()
  expect(totals).toMatchObject({ retries: 0, pairings: 0, logins: 2 })
  expect(
    Object.values(devices)
      .filter(({ simulated }) => !simulated)
      .map(({ preKeysUploaded }) => preKeysUploaded),
  ).toEqual([30, 30])
})

test('a seeded folder is one that useMultiFileAuthState reads', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'whatsapp-seed-'))
  try {
    const [session] = await world.admin.seed({ count: 1, preKeys: 10, dir })
    const { state } = await useMultiFileAuthState(join(dir, session?.phone ?? ''))
    expect(state.creds.me?.id).toBe(session?.jid)
    const keys = await state.keys.get('pre-key', ['1', '10'])
    expect(keys['10']?.private).toHaveLength(32)
    const keyId = state.creds.myAppStateKeyId ?? ''
    const shared = await state.keys.get('app-state-sync-key', [keyId])
    expect(Buffer.from(shared[keyId]?.keyData ?? []).length).toBe(32)
  } finally {
    await rm(dir, { recursive: true })
  }
})
