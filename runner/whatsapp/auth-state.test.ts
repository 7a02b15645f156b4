import { proto, type SignalDataSet } from '@whiskeysockets/baileys'
import { describe, expect, test } from 'vitest'
import type { Stores } from '#shared/store/stores.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { CREDS_KEY } from '../state/record.ts'
import { credsRecord, openWorld, turn, type World } from '../state/testing.ts'
import { connectionAuth } from './auth-state.ts'

/** A session's state and the authentication of one connection over it; `held` keeps its next append waiting. */
async function begin(world: World) {
  const script: Script<Stores['journal']> = {}
  const stores: Stores = { ...world.stores, journal: faulty(world.stores.journal, script) }
  const state = await world.open(1, world.deps({ stores }))
  const auth = connectionAuth(state)
  const hold = (): (() => void) => {
    const held = Promise.withResolvers<void>()
    script.append = [{ kind: 'delay', until: held.promise }]
    return held.resolve
  }
  const entries = async (): Promise<number> => (await world.stores.journal.read(state.key, 1)).length
  return { state, auth, keys: auth.keys, hold, entries }
}

/** Whether a promise is settled after some turns of the event loop. */
async function settles(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.then(() => (settled = true))
  for (let turns = 0; turns < 20; turns++) await turn()
  return settled
}

const session = (counter: number): SignalDataSet =>
  ({ session: { 'peer.0': { _sessions: { a: { counter } }, version: 'v1' } } }) as unknown as SignalDataSet

describe('the authentication state', () => {
  test('get answers what set took at once, before it is durable', async () => {
    await using world = await openWorld()
    const { keys, hold } = await begin(world)
    const release = hold()
    const durable = keys.set(session(1))
    expect(await keys.get('session', ['peer.0', 'unknown'])).toEqual(session(1).session)
    expect(await settles(Promise.resolve(durable))).toBe(false)
    release()
    await durable
  })

  test('A3 set resolves when the store has it, in one entry', async () => {
    await using world = await openWorld()
    const { keys, entries } = await begin(world)
    const before = await entries()
    await keys.set({
      ...session(1),
      'pre-key': { 7: null, 8: { public: Uint8Array.of(1), private: Uint8Array.of(2) } },
    })
    expect(await entries()).toBe(before + 1)
    const next = await world.open(2)
    expect(connectionAuth(next).keys.get('session', ['peer.0'])).toEqual(session(1).session)
  })

  test('values are copied in and out', async () => {
    await using world = await openWorld()
    const { keys } = await begin(world)
    const list = ['0', '1']
    await keys.set({ 'device-list': { peer: list } })
    list.push('mine')
    const got = (await keys.get('device-list', ['peer']))['peer']
    got?.push('theirs')
    expect(await keys.get('device-list', ['peer'])).toEqual({ peer: ['0', '1'] })
  })

  test('null removes, and removing what is not there writes nothing', async () => {
    await using world = await openWorld()
    const { keys, entries } = await begin(world)
    await keys.set(session(1))
    const before = await entries()
    await keys.set({ 'pre-key': { 1: null, 2: null } })
    expect(await entries()).toBe(before)
    await keys.set({ session: { 'peer.0': null } })
    expect(await keys.get('session', ['peer.0'])).toEqual({})
    expect(await entries()).toBe(before + 1)
  })

  test('what is only a cache does not wait, and rides with the next entry', async () => {
    await using world = await openWorld()
    const { keys, hold, entries } = await begin(world)
    const before = await entries()
    await keys.set({ 'device-list': { peer: ['0'] }, 'lid-mapping': { peer: 'lid' } })
    expect(await entries()).toBe(before)
    const release = hold()
    const both = keys.set({ ...session(1), 'device-list': { peer: ['0', '1'] } })
    expect(await settles(Promise.resolve(both))).toBe(false)
    release()
    await both
    expect(await entries()).toBe(before + 1)
    const next = connectionAuth(await world.open(2)).keys
    expect(await next.get('lid-mapping', ['peer'])).toEqual({ peer: 'lid' })
    expect(await next.get('device-list', ['peer'])).toEqual({ peer: ['0', '1'] })
  })

  test('a cache that comes again unchanged is no change', async () => {
    await using world = await openWorld()
    const { state, keys } = await begin(world)
    await keys.set({ 'device-list': { peer: ['0'] } })
    await state.journal.flush()
    const { seq } = state.journal
    await keys.set({ 'device-list': { peer: ['0'] } })
    await state.journal.flush()
    expect(state.journal.seq).toBe(seq)
  })

  test('E7 after it is closed nothing is stored', async () => {
    await using world = await openWorld()
    const { auth, keys, entries } = await begin(world)
    const before = await entries()
    auth.close()
    await expect(keys.set(session(1))).rejects.toMatchObject({ code: 'closed' })
    await expect(keys.set({ 'device-list': { peer: ['0'] } })).rejects.toMatchObject({ code: 'closed' })
    expect([await keys.get('session', ['peer.0']), await entries()]).toEqual([{}, before])
  })

  test('the next connection over the same state is open again', async () => {
    await using world = await openWorld()
    const { state, auth } = await begin(world)
    auth.close()
    const { keys } = connectionAuth(state)
    await keys.set(session(2))
    expect(await keys.get('session', ['peer.0'])).toEqual(session(2).session)
  })

  test('C1 stored credentials are used, and without any a new identity begins', async () => {
    await using world = await openWorld()
    const { state, auth } = await begin(world)
    expect(auth.creds).toMatchObject({ registered: false, nextPreKeyId: 1 })
    await state.journal.set([[CREDS_KEY, credsRecord()]])
    expect(connectionAuth(state).creds).toMatchObject({ me: { id: '491701234567:5@s.whatsapp.net' } })
  })

  test('changed credentials ride with the entry that follows them', async () => {
    await using world = await openWorld()
    const { state, auth, keys, entries } = await begin(world)
    const before = await entries()
    auth.creds.nextPreKeyId = 813
    state.journal.credsChanged()
    await keys.set(session(1))
    expect(await entries()).toBe(before + 1)
    const next = await world.open(2)
    expect(connectionAuth(next).creds).toMatchObject({ nextPreKeyId: 813 })
  })

  test('an app-state key comes back as the object that Baileys wants', async () => {
    await using world = await openWorld()
    const { keys } = await begin(world)
    const key = proto.Message.AppStateSyncKeyData.fromObject({ keyData: Buffer.from('secret'), timestamp: 5 })
    await keys.set({ 'app-state-sync-key': { 'AAAA/+=': key } })
    const got = (await keys.get('app-state-sync-key', ['AAAA/+=']))['AAAA/+=']
    expect(got).toBeInstanceOf(proto.Message.AppStateSyncKeyData)
    expect(Buffer.from(got?.keyData ?? []).toString()).toBe('secret')
  })
})
