import { describe, expect, test } from 'vitest'
import { readConfig } from './config.ts'
import { ageOpen, ageSeal } from './sealing/age.ts'
import { deriveAgeIdentity } from './sealing/age-identity.ts'
import { transferSettings } from './transfer-settings.ts'

const IDENTITY = 'AGE-SECRET-KEY-1GUYN4MQJ0Y3GDMVWKXTPQUPJLH86YMX9QL7DDANNUSWZAADC88JQLFN3NQ'
const RECIPIENT = 'age1w5e9atm0336xgqlj55hgmngv3qmslfs3l534pnunmmargnldq4xqpctsmh'
const GOOGLE = {
  MOORING_STORE: 'google',
  GOOGLE_CLOUD_PROJECT: 'p',
  MOORING_BUCKET: 'b',
  MOORING_KMS_KEY: 'k',
  MOORING_ADMIN_KEY: `moor_${'a'.repeat(32)}`,
  MOORING_KEY_PEPPER: 'p'.repeat(32),
  MOORING_CONTENT_SECRET: 'c'.repeat(32),
}
const settingsOf = (env: Record<string, string>) => transferSettings(readConfig(env))

describe('on one machine', () => {
  const env = { MOORING_DATA_DIR: '/nowhere', MOORING_KEY: 'a key text for tests only, 32+ chars' }

  test('what is sealed for the recipient is opened by the identity that follows from the key', async () => {
    const [control, runner] = await Promise.all([settingsOf(env), settingsOf(env)])
    const sealed = await ageSeal(Buffer.from('x'), [await control.recipient()])
    expect((await ageOpen(sealed, await runner.identities())).toString()).toBe('x')
  })

  test('exports take a passphrase, unless somebody is named', async () => {
    expect((await settingsOf(env)).exports).toEqual({ to: 'passphrase' })
    const named = await settingsOf({ ...env, MOORING_EXPORT_RECIPIENTS: RECIPIENT })
    expect(named.exports).toEqual({ to: 'recipients', recipients: [RECIPIENT] })
  })
})

describe('F4: on Google Cloud', () => {
  test('control needs the recipient, has no identity, and no key of Cloud KMS', async () => {
    const { MOORING_KMS_KEY: _, ...env } = { ...GOOGLE, MOORING_ROLE: 'control' }
    await expect(settingsOf(env)).rejects.toThrow(/MOORING_INBOUND_RECIPIENT is needed/)
    const control = await settingsOf({ ...env, MOORING_INBOUND_RECIPIENT: RECIPIENT })
    expect(await control.recipient()).toBe(RECIPIENT)
    await expect((async () => control.identities())()).rejects.toMatchObject({ code: 'config' })
    await expect((async () => settingsOf({ ...env, MOORING_INBOUND_IDENTITY: IDENTITY }))()).rejects.toThrow(
      /MOORING_INBOUND_IDENTITY: is for runners alone/,
    )
  })

  test('a runner needs the identity, and a recipient that is not its own is refused', async () => {
    const env = { ...GOOGLE, MOORING_ROLE: 'runner' }
    await expect(settingsOf(env)).rejects.toThrow(/MOORING_INBOUND_IDENTITY is needed/)
    const runner = await settingsOf({ ...env, MOORING_INBOUND_IDENTITY: IDENTITY })
    expect(await runner.recipient()).toBe(RECIPIENT)
    const { recipient } = await deriveAgeIdentity(Buffer.alloc(32), 'another')
    const mixed = { ...env, MOORING_INBOUND_IDENTITY: IDENTITY, MOORING_INBOUND_RECIPIENT: recipient }
    await expect(settingsOf(mixed)).rejects.toThrow(/not the recipient of/)
  })

  test('exports are for whom the operator named, or take a passphrase where that was said', async () => {
    const env = { ...GOOGLE, MOORING_ROLE: 'runner', MOORING_INBOUND_IDENTITY: IDENTITY }
    expect((await settingsOf(env)).exports).toEqual({ to: 'recipients', recipients: [] })
    expect((await settingsOf({ ...env, MOORING_EXPORT: 'passphrase' })).exports).toEqual({ to: 'passphrase' })
    const both = { ...env, MOORING_EXPORT: 'passphrase', MOORING_EXPORT_RECIPIENTS: RECIPIENT }
    await expect((async () => settingsOf(both))()).rejects.toThrow(/means nothing/)
  })
})
