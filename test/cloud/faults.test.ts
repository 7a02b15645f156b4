import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openGoogleStores } from '#shared/google/open.ts'
import type { JournalEntry } from '#shared/store/journal-store.ts'
import type { Stores } from '#shared/store/stores.ts'
import { eventually } from '#test/contract/eventually.ts'
import {
  AT,
  auditEvent,
  entry,
  feedItem,
  job,
  keyOf,
  lease,
  mark,
  message,
  newSession,
  runner,
  snapshot,
  status,
} from '#test/contract/samples.ts'
import { splitKey, type SessionKey } from '#shared/ids.ts'
import { startCutProxy, type CutProxy } from './cut-proxy.ts'
import { freshOptions, skipReason, startCloud, type Cloud } from './google-subject.ts'

const START_WITHIN_MS = 90_000
const KEY = keyOf('t', 's')

/** Repeats what ended in `store_unavailable`, as the loops of Mooring do. Any other refusal is a false loss. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if ((error as { code?: string }).code !== 'store_unavailable') throw error
    }
  }
}

describe.skipIf(skipReason !== undefined)('the stores of Google Cloud', () => {
  let cloud: Cloud
  beforeAll(async () => {
    cloud = await startCloud()
  }, START_WITHIN_MS)
  afterAll(() => cloud.close())

  describe('wherever an answer is lost', () => {
    let proxy: CutProxy
    /** Behind the proxy, and with a connection of its own. */
    let stores: Stores
    let other: Stores
    let scenarios = 0
    beforeEach(async () => {
      proxy = await startCutProxy(cloud.emulator.host)
      const options = freshOptions(cloud, { callTimeoutMs: 4000 })
      stores = await openGoogleStores({ ...options, firestoreEmulatorHost: proxy.address })
      other = await openGoogleStores(options)
    })
    afterEach(async () => {
      await Promise.all([stores.close(), other.close()])
      await proxy.close()
    })

    /**
     * Runs `scenario` again and again for a new session, with the connection cut at the first answer to what it does in
     * `cut`, then at the second, and so on until there is no answer left to lose: reads and writes alike.
     */
    async function everywhere(
      scenario: (key: SessionKey, cut: <T>(call: () => Promise<T>) => Promise<T>) => Promise<void>,
    ): Promise<void> {
      let lost = 0
      for (let answers = 0; answers === lost; answers++) {
        const name = `s${++scenarios}`
        await other.sessions.create(newSession('t', name))
        await scenario(keyOf('t', name), async (call) => {
          proxy.cutAnswer(answers)
          const result = await insist(call)
          if (proxy.hasCut()) lost = answers + 1
          return result
        })
      }
      expect(lost).toBeGreaterThan(0)
    }

    test('no claim is lost to oneself', () =>
      everywhere(async (key, cut) => {
        const ask = { key, runnerId: runner('a'), expectEpoch: 0, nonce: 'n1', nowMs: AT }
        await cut(() => stores.owners.claim(ask))
        const mine = { epoch: 1, runnerId: 'a', since: AT, nonce: 'n1' }
        expect(await other.owners.get(key)).toEqual(mine)
      }))

    test('no takeover is lost to oneself', () =>
      everywhere(async (key, cut) => {
        await other.owners.claim({ key, runnerId: runner('b'), expectEpoch: 0, nonce: 'n0', nowMs: AT })
        const ask = { key, runnerId: runner('a'), expectEpoch: 1, nonce: 'n1', nowMs: AT }
        expect(await cut(() => stores.owners.claim(ask))).toMatchObject({ epoch: 2, runnerId: 'a' })
        expect(await other.owners.get(key)).toMatchObject({ epoch: 2, runnerId: 'a' })
      }))

    test('no release is taken for a fence', () =>
      everywhere(async (key, cut) => {
        await other.owners.claim({ key, runnerId: runner('a'), expectEpoch: 0, nonce: 'n1', nowMs: AT })
        const release = { key, runnerId: runner('a'), epoch: 1, nonce: 'n2', nowMs: AT }
        await cut(() => stores.owners.release(release))
        expect(await other.owners.get(key)).toEqual({ epoch: 1, since: AT, nonce: 'n2' })
      }))

    test('no lease is lost that was renewed, and no drain', () =>
      everywhere(async (key, cut) => {
        const id = splitKey(key).session
        await stores.runners.renew(lease(id, 1))
        expect(await cut(() => stores.runners.renew(lease(id, 2)))).toMatchObject({ beat: 2 })
        await other.runners.drain(runner(id))
        expect(await stores.runners.renew(lease(id, 3))).toMatchObject({ beat: 3, draining: true })
      }))

    test("a journal entry is read back as one's own, whatever its size", async () => {
      for (const size of [2000, 2_000_000, 4_000_000]) {
        await everywhere(async (key, cut) => {
          const mine = entry(1, { sealed: new Uint8Array(size).fill(size & 0xff) })
          const ended = await cut(() => stores.journal.append(key, mine).catch((error: unknown) => error))
          // What the journal does with `seq_taken`: it reads back and compares.
          if (ended !== undefined) expect(ended).toMatchObject({ code: 'seq_taken' })
          expect(await other.journal.read(key, 1)).toEqual([mine])
        })
      }
    })

    test('a status is reported, and still fenced by a higher epoch', () =>
      everywhere(async (key, cut) => {
        await stores.sessions.reportStatus(key, status(3), AT)
        await cut(() => stores.sessions.reportStatus(key, status(3, { phase: 'stopped' }), AT))
        expect((await other.sessions.get(key))?.status).toMatchObject({ epoch: 3, phase: 'stopped' })
        await other.sessions.reportStatus(key, status(4), AT)
        const late = stores.sessions.reportStatus(key, status(3), AT)
        await expect(late).rejects.toMatchObject({ code: 'fenced' })
      }))

    test('a want is changed once', () =>
      everywhere(async (key, cut) => {
        const nonce = { nonce: 'n', nowMs: AT }
        const changed = await cut(() => stores.sessions.changeWant(key, mark('one'), nonce))
        expect(changed.want.generation).toBe(2)
        expect((await other.sessions.get(key))?.want).toMatchObject({ generation: 2 })
      }))

    test('a data key is put once', () =>
      everywhere(async (key, cut) => {
        const dataKey = { id: 'k', wrapped: Uint8Array.of(1, 2), keyVersion: 'v', createdAt: AT }
        await cut(() => stores.sessions.putDataKey(key, dataKey, { expectKeys: 0 }))
        expect((await other.sessions.get(key))?.dataKeys).toEqual([dataKey])
      }))

    test('a session and a tenant that were created are no strangers', () =>
      everywhere(async (key, cut) => {
        const { session } = splitKey(key)
        const tenant = {
          id: splitKey(key).session as never,
          name: 'T',
          limits: { sessions: 1 },
          createdAt: AT,
        }
        await cut(async () => {
          await stores.sessions.create(newSession('new', session))
          await stores.tenants.create(tenant)
        })
        expect(await other.tenants.get(tenant.id)).toEqual(tenant)
      }))

    test('records, messages and jobs are kept once', () =>
      everywhere(async (key, cut) => {
        await cut(async () => {
          await stores.snapshots.record(key, snapshot(1))
          await stores.events.append(key, auditEvent(1))
          await stores.jobs.create(key, job(1))
          await stores.outbox.enqueue(key, message(1))
          await stores.outbox.move(key, message(1).id, { to: 'taken', epoch: 1, nowMs: AT })
          await stores.outbox.move(key, message(1).id, { to: 'sent', epoch: 1, nowMs: AT })
        })
        expect(await other.snapshots.list(key)).toEqual([snapshot(1)])
        expect((await other.events.list(key, { limit: 9 })).items).toEqual([auditEvent(1)])
        expect(await other.jobs.open(key)).toEqual([job(1)])
        expect((await other.outbox.list(key, { limit: 9 })).items).toMatchObject([{ state: 'sent' }])
      }))

    test('the feed has each message once and in order', () =>
      everywhere(async (key, cut) => {
        await cut(async () => {
          await stores.feed.add(key, [feedItem(1), feedItem(2)], AT)
          await stores.feed.add(key, [feedItem(2), feedItem(3)], AT)
        })
        const { items } = await other.feed.list(key, { limit: 9 })
        expect(items.map(({ id }) => id)).toEqual(['A1', 'A2', 'A3'])
      }))

    test('a watch hears what comes after its connection broke', async () => {
      const heard: string[] = []
      const watch = stores.sessions.watch((key) => heard.push(key))
      await other.sessions.create(newSession('t', 'first'))
      await eventually('the watch hears', () => heard.includes(keyOf('t', 'first')))
      proxy.mode('drop')
      proxy.mode('pass')
      await other.sessions.create(newSession('t', 'later'))
      await eventually('the watch hears again', () => heard.includes(keyOf('t', 'later')))
      await watch.close()
    })
  })

  test('while Firestore hangs, nothing is acknowledged that is not durable; then everything goes on', async () => {
    const options = freshOptions(cloud, { callTimeoutMs: 1000 })
    const stores = await openGoogleStores(options)
    const keys = ['a', 'b', 'c', 'd'].map((session) => keyOf('t', session))
    const acknowledged = new Map(keys.map((key) => [key, 0]))
    const written = (): number[] => [...acknowledged.values()]
    const stop = new AbortController()
    let refused = 0

    /** One session: appends entry after entry, as the journal does, repeating what is not known to be written. */
    async function traffic(key: (typeof keys)[number]): Promise<void> {
      for (let seq = 1; !stop.signal.aborted; seq++) {
        const mine: JournalEntry = entry(seq, { nonce: `${key}-${seq}` })
        for (let done = false; !done;) {
          try {
            await stores.journal.append(key, mine)
            done = true
          } catch (error) {
            refused++
            const { code } = error as { code?: string }
            if (code !== 'seq_taken' && code !== 'store_unavailable') throw error
            done =
              code === 'seq_taken' && (await insist(() => stores.journal.head(key)))?.nonce === mine.nonce
          }
        }
        acknowledged.set(key, seq)
      }
    }
    const heard = new Set<string>()
    const watch = stores.owners.watch((key) => heard.add(key))
    const running = keys.map((key) => traffic(key))
    try {
      await eventually('traffic flows', () => Math.min(...written()) > 20)
      cloud.emulator.pause()
      await eventually('every session was told that the store is away', () => refused >= 2 * keys.length)
      const frozen = written()
      await expect(stores.owners.get(keys[0] as (typeof keys)[0])).rejects.toMatchObject({
        code: 'store_unavailable',
      })
      expect(written()).toEqual(frozen)
      cloud.emulator.resume()
      await eventually('traffic flows again', () =>
        written().every((seq, index) => seq > (frozen[index] ?? 0) + 5),
      )
      const claim = { runnerId: runner('a'), expectEpoch: 0, nonce: 'n', nowMs: AT }
      await stores.owners.claim({ key: KEY, ...claim })
      await eventually('the watch hears again', () => heard.has(KEY))
    } finally {
      cloud.emulator.resume()
      stop.abort()
      await Promise.all(running)
    }

    const fresh = await openGoogleStores(options)
    for (const [key, seq] of acknowledged) {
      const seqs: number[] = []
      for (let page = await fresh.journal.read(key, 1); page.length > 0;) {
        seqs.push(...page.map((found) => found.seq))
        page = await fresh.journal.read(key, (page.at(-1)?.seq ?? 0) + 1)
      }
      expect(seqs).toEqual(Array.from({ length: seq }, (_, index) => index + 1))
    }
    await watch.close()
    await Promise.all([stores.close(), fresh.close()])
  }, 60_000)

  test('while Cloud Storage is away, the journal goes on and the snapshot waits', async () => {
    const stores = await openGoogleStores(
      freshOptions(cloud, { storageRetry: { tries: 3, firstMs: 5, tryTimeoutMs: 1000 } }),
    )
    cloud.storage.inject({ fault: { do: 'status', status: 503 }, times: 3 })
    await expect(stores.blobs.create('one', [Uint8Array.of(1)])).rejects.toMatchObject({
      code: 'store_unavailable',
    })
    await stores.journal.append(KEY, entry(1))
    await stores.blobs.create('one', [Uint8Array.of(1)])
    expect(await stores.journal.head(KEY)).toMatchObject({ seq: 1 })
    await stores.close()
  })
})
