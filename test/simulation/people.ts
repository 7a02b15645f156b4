import { nameOfKey, type SessionKey } from '#shared/ids.ts'
import { sealRequest } from '#shared/sealing/outbox-bodies.ts'
import { testBodies } from '#test/bodies.ts'
import type { Want } from '#shared/session.ts'
import type { Dice } from './dice.ts'
import type { World } from './host.ts'
import { wallMs } from './process.ts'

const BODIES = testBodies()
const PEERS = ['4917100000001@s.whatsapp.net', '4917100000002@s.whatsapp.net'] as const

/** Means between two of a kind, per session. */
const SAYS_EVERY_MS = 6_000
const WANTS_EVERY_MS = 60_000
const ASKS_EVERY_MS = 90_000
/** How long it takes a person to see a conflict and to end it. */
const SEES_CONFLICT_MS = 20_000

/** Those outside: the users of the sessions, through what control writes, and whom they talk to. */
export class People {
  readonly #world: World
  readonly #dice: Dice
  readonly #keys: readonly SessionKey[]
  #busy = true
  #count = 0

  constructor(world: World, keys: readonly SessionKey[]) {
    this.#world = world
    this.#dice = world.dice.for('people')
    this.#keys = keys
  }

  /** Everybody begins, and goes on until `rest`. */
  begin(): void {
    for (const key of this.#keys) {
      this.#again(SAYS_EVERY_MS, () => this.#peerSays(key))
      this.#again(SAYS_EVERY_MS, () => this.#userSays(key))
      this.#again(WANTS_EVERY_MS, () => this.#wants(key))
      this.#again(ASKS_EVERY_MS, () => this.#asks(key))
      this.#again(SEES_CONFLICT_MS, () => this.#endsConflict(key), true)
    }
  }

  /** Nobody does anything new; all want their sessions to run. */
  rest(): void {
    this.#busy = false
    for (const key of this.#keys) {
      if (this.#world.db.sessions.get(nameOfKey(key))?.session.want.state === 'stopped')
        this.#change(key, { state: 'running' })
    }
  }

  #again(everyMs: number, act: () => void, alsoAtRest = false): void {
    this.#world.time.after(this.#dice.waitMs(everyMs), () => {
      if (!this.#busy && !alsoAtRest) return
      act()
      this.#again(everyMs, act, alsoAtRest)
    })
  }

  /** Mostly one message, now and then a burst. */
  #some(): number {
    return this.#dice.chance(0.15) ? this.#dice.whole(2, 8) : 1
  }

  #peerSays(key: SessionKey): void {
    const peer = this.#dice.pick(PEERS)
    for (let left = this.#some(); left > 0; left--) {
      const number = ++this.#count
      this.#world.whatsapp.send(key, peer, `IN${number}`, `in ${number}`)
    }
  }

  #userSays(key: SessionKey): void {
    const { control, time } = this.#world
    for (let left = this.#some(); left > 0; left--) {
      const number = ++this.#count
      const at = wallMs(time)
      const id = `3EB0${number}`
      const message = {
        id,
        to: this.#dice.pick(PEERS),
        state: 'queued',
        acceptedAt: at,
        updatedAt: at,
      } as const
      const request = { type: 'text', text: { body: `out ${number}` } } as const
      void sealRequest(BODIES, key, id, request).then((sealed) =>
        control.outbox.enqueue(key, { ...message, request: sealed }),
      )
    }
  }

  #wants(key: SessionKey): void {
    const { state, generation } = this.#world.db.sessions.get(nameOfKey(key))?.session.want ?? {}
    if (state === 'stopped') this.#change(key, { state: 'running' })
    else if (this.#dice.chance(0.5)) this.#change(key, { state: 'stopped' })
    else this.#change(key, { restart: (generation ?? 0) + 1 })
  }

  #asks(key: SessionKey): void {
    const { control, time } = this.#world
    const kind = this.#dice.chance(0.8) ? 'snapshot' : 'rotate'
    const job = { id: `job${++this.#count}`, kind, args: {}, state: 'open', by: 'people' } as const
    void control.jobs.create(key, { ...job, createdAt: wallMs(time) })
  }

  /** A person stops the foreign client, then lets the session go on. */
  #endsConflict(key: SessionKey): void {
    const { db, whatsapp } = this.#world
    const session = db.sessions.get(nameOfKey(key))?.session
    if (session?.status?.phase !== 'conflict') return
    whatsapp.deviceOf(key).foreign = false
    this.#change(key, { resume: session.want.generation + 1 })
  }

  #change(key: SessionKey, more: Partial<Want>): void {
    const { control, time, trace } = this.#world
    trace.note('people', 'want', { key, ...more })
    const options = { nonce: this.#dice.random.id(), nowMs: wallMs(time) }
    void control.sessions.changeWant(key, (want) => ({ ...want, ...more }), options)
  }
}
