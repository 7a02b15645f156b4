import { expect } from 'vitest'
import { hasCode } from '#shared/errors.ts'
import type { Session } from '#shared/session.ts'
import { eventually } from './eventually.ts'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { AT, keyOf, mark, newSession, status } from './samples.ts'

const KEY = keyOf('t', 's')

/** The promises of `SessionStore` on want and status, which several write at once. */
export function sessionWantStatusContract(make: Make, options: ContractOptions = {}): void {
  contract('SessionStore, want and status', make, options, (promise) => {
    promise('gives the stored want to the change and raises its generation by one', async ({ stores }) => {
      const { want } = await stores.sessions.create(newSession('t', 's'))
      let seen: unknown
      const changed = await stores.sessions.changeWant(
        KEY,
        (given) => {
          seen = given
          return { state: 'stopped', restart: given.generation, metadata: given.metadata }
        },
        { nonce: 'n', nowMs: AT + 5 },
      )
      expect(seen).toEqual(want)
      expect(changed.want).toEqual({ state: 'stopped', generation: 2, restart: 1, metadata: {} })
      expect(changed.updatedAt).toBe(AT + 5)
      expect(await stores.sessions.get(KEY)).toEqual(changed)
    })

    promise('writes nothing when the change answers undefined', async ({ stores }) => {
      const created = await stores.sessions.create(newSession('t', 's'))
      const answer = await stores.sessions.changeWant(KEY, () => undefined, { nonce: 'n', nowMs: AT + 5 })
      expect(answer).toEqual(created)
      expect(await stores.sessions.get(KEY)).toEqual(created)
    })

    promise('changes a want only on the generation that was expected', async ({ stores }) => {
      const created = await stores.sessions.create(newSession('t', 's'))
      const late = stores.sessions.changeWant(KEY, mark('a'), { nonce: 'n1', nowMs: AT, expectGeneration: 2 })
      await expect(late).rejects.toMatchObject({ code: 'stale' })
      expect(await stores.sessions.get(KEY)).toEqual(created)
      const now = await stores.sessions.changeWant(KEY, mark('a'), {
        nonce: 'n2',
        nowMs: AT,
        expectGeneration: 1,
      })
      expect(now.want.generation).toBe(2)
    })

    promise('changes nothing when a change is repeated with its nonce', async ({ stores, reopen }) => {
      await stores.sessions.create(newSession('t', 's'))
      const ask = { nonce: 'n1', nowMs: AT, expectGeneration: 1 }
      const first = await stores.sessions.changeWant(KEY, mark('a'), ask)
      expect(await stores.sessions.changeWant(KEY, mark('b'), ask)).toEqual(first)
      const other = await reopen()
      expect(await other.sessions.changeWant(KEY, mark('c'), ask)).toEqual(first)
    })

    promise('knows a repeated change when another came in between', async ({ stores }) => {
      await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.changeWant(KEY, mark('a'), { nonce: 'n1', nowMs: AT })
      const second = await stores.sessions.changeWant(KEY, mark('b'), { nonce: 'n2', nowMs: AT })
      expect(await stores.sessions.changeWant(KEY, mark('c'), { nonce: 'n1', nowMs: AT })).toEqual(second)
    })

    promise('says not_found when the session to change is gone', async ({ stores }) => {
      const change = stores.sessions.changeWant(KEY, mark('a'), { nonce: 'n', nowMs: AT })
      await expect(change).rejects.toMatchObject({ code: 'not_found' })
    })

    promise('loses none of many changes that two clients make at once', async ({ stores, reopen }) => {
      await stores.sessions.create(newSession('t', 's'))
      const other = await reopen()
      const names = Array.from({ length: 12 }, (_, index) => `m${index}`)
      await Promise.all(
        names.map(async (name, index) => {
          const { sessions } = index % 2 === 0 ? stores : other
          const change = () =>
            sessions.changeWant(KEY, mark(name), { nonce: name, nowMs: AT }).catch((error: unknown) => {
              // Too many writers at once: the caller repeats, as the port says.
              if (!hasCode(error, 'conflict')) throw error
            })
          await eventually(`${name} is written`, change)
        }),
      )
      const { want } = (await stores.sessions.get(KEY)) as Session
      expect(Object.keys(want.metadata).toSorted()).toEqual(names.toSorted())
      expect(want.generation).toBe(13)
    })

    promise('writes the whole status and leaves the want alone', async ({ stores }) => {
      const { want } = await stores.sessions.create(newSession('t', 's'))
      const first = status(1, {
        phase: 'backing_off',
        nextAttemptAt: AT,
        lastDisconnect: { why: 'lost', at: AT },
        witness: { seq: 41, mac: '00112233445566778899aabbccddeeff' },
      })
      await stores.sessions.reportStatus(KEY, first, AT + 1)
      expect(await stores.sessions.get(KEY)).toMatchObject({ want, status: first, updatedAt: AT + 1 })
      const second = status(1, { phase: 'connected', connectedAt: AT })
      await stores.sessions.reportStatus(KEY, second, AT + 2)
      expect((await stores.sessions.get(KEY))?.status).toEqual(second)
    })

    promise('takes the same status twice', async ({ stores }) => {
      await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.reportStatus(KEY, status(3), AT)
      await stores.sessions.reportStatus(KEY, status(3), AT)
      expect((await stores.sessions.get(KEY))?.status).toEqual(status(3))
    })

    promise('fences a status of a lower epoch than the stored one', async ({ stores, reopen }) => {
      await stores.sessions.create(newSession('t', 's'))
      await stores.sessions.reportStatus(KEY, status(2, { phase: 'connected' }), AT)
      const late = (await reopen()).sessions.reportStatus(KEY, status(1), AT)
      await expect(late).rejects.toMatchObject({ code: 'fenced' })
      expect((await stores.sessions.get(KEY))?.status).toEqual(status(2, { phase: 'connected' }))
    })

    promise('says not_found when the session to report on is gone', async ({ stores }) => {
      await expect(stores.sessions.reportStatus(KEY, status(1), AT)).rejects.toMatchObject({
        code: 'not_found',
      })
    })

    promise('lets want and status be written at once without either losing', async ({ stores, reopen }) => {
      await stores.sessions.create(newSession('t', 's'))
      const other = await reopen()
      const rounds = [1, 2, 3, 4, 5]
      await Promise.all([
        (async () => {
          for (const n of rounds)
            await stores.sessions.changeWant(KEY, mark(`m${n}`), { nonce: `n${n}`, nowMs: AT })
        })(),
        (async () => {
          for (const n of rounds) await other.sessions.reportStatus(KEY, status(1, { attempts: n }), AT)
        })(),
      ])
      const found = await stores.sessions.get(KEY)
      expect(found?.want.generation).toBe(6)
      expect(found?.status?.attempts).toBe(5)
    })
  })
}
