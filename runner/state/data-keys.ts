import { randomBytes } from 'node:crypto'
import { CodedError, hasCode } from '#shared/errors.ts'
import type { OpenKey } from '#shared/envelope.ts'
import type { SessionKey } from '#shared/ids.ts'
import type { Clock } from '#shared/clock.ts'
import type { Random } from '#shared/random.ts'
import type { DataKey, Session } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import { dataKeyAad } from './aad.ts'

/** The opened data keys of one session; in memory only. */
export interface KeyRing {
  /** What is sealed now is sealed with this one. */
  current: OpenKey
  find: (keyId: string) => OpenKey | undefined
  /** Oldest first. */
  ids: readonly string[]
}

/** Opens and makes data keys, so that the key-encryption key is asked once per data key and runner. */
export function dataKeys(deps: { stores: Pick<Stores, 'sessions' | 'keys'>; clock: Clock; random: Random }) {
  const { stores, clock, random } = deps

  async function unwrap(key: SessionKey, dataKey: DataKey): Promise<OpenKey> {
    return { id: dataKey.id, bytes: await stores.keys.unwrap(dataKey.wrapped, dataKeyAad(key, dataKey.id)) }
  }

  async function make(key: SessionKey): Promise<DataKey> {
    const id = random.id().slice(0, 8)
    const { wrapped, keyVersion } = await stores.keys.wrap(randomBytes(32), dataKeyAad(key, id))
    return { id, wrapped, keyVersion, createdAt: clock.nowMs() }
  }

  return {
    /**
     * The key ring of a session; the first data key is made here and durable when this resolves. Two runners at once agree
     * on one. What an earlier ring of the session holds is not opened again. @throws CodedError `wrong_key`, `not_found`, `store_unavailable`
     */
    async ring(key: SessionKey, session: Pick<Session, 'dataKeys'>, earlier?: KeyRing): Promise<KeyRing> {
      let known = session.dataKeys
      if (known.length === 0) {
        try {
          const first = await make(key)
          await stores.sessions.putDataKey(key, first, { expectKeys: 0 })
          known = [first]
        } catch (error) {
          if (!hasCode(error, 'conflict')) throw error
          known = (await stores.sessions.get(key))?.dataKeys ?? []
          if (known.length === 0) throw new CodedError('not_found', 'open data keys: the session is gone')
        }
      }
      return ringOf(
        await Promise.all(known.map(async (dataKey) => earlier?.find(dataKey.id) ?? unwrap(key, dataKey))),
      )
    },

    /** A new data key, in use at once; the old ones stay until nothing needs them. Durable when it resolves. */
    async rotate(key: SessionKey, ring: KeyRing, known: readonly DataKey[]): Promise<KeyRing> {
      const next = await make(key)
      await stores.sessions.putDataKey(key, next, { expectKeys: known.length })
      const old = known.flatMap((dataKey) => ring.find(dataKey.id) ?? [])
      return ringOf([...old, await unwrap(key, next)])
    },

    /** Destroys the keys that nothing needs any more; what was sealed with them can never be opened again. */
    async retire(key: SessionKey, ring: KeyRing, needed: ReadonlySet<string>): Promise<KeyRing> {
      const idle = ring.ids.filter((id) => id !== ring.current.id && !needed.has(id))
      if (idle.length === 0) return ring
      await stores.sessions.destroyDataKeys(key, idle)
      return ringOf(ring.ids.flatMap((id) => (idle.includes(id) ? [] : (ring.find(id) ?? []))))
    },

    /** Wraps every data key anew that an older version of the key-encryption key wrapped. Answers how many. */
    async rewrap(key: SessionKey, ring: KeyRing, known: readonly DataKey[]): Promise<number> {
      const version = await stores.keys.currentVersion()
      let count = 0
      for (const dataKey of known) {
        const open = ring.find(dataKey.id)
        if (dataKey.keyVersion === version || !open) continue
        const { wrapped, keyVersion } = await stores.keys.wrap(open.bytes, dataKeyAad(key, dataKey.id))
        await stores.sessions.putDataKey(key, { ...dataKey, wrapped, keyVersion })
        count++
      }
      return count
    },
  }
}

export type DataKeys = ReturnType<typeof dataKeys>

function ringOf(keys: readonly OpenKey[]): KeyRing {
  const current = keys.at(-1)
  if (!current) throw new Error('a session has at least one data key by now')
  return { current, find: (keyId) => keys.find((key) => key.id === keyId), ids: keys.map((key) => key.id) }
}
