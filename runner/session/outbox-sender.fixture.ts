import { expect } from 'vitest'
import type { OutboxMessage, OutboxStore } from '#shared/store/outbox-store.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { message } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { keyOf, memory, silent, socketOf } from '../runner.fixture.ts'
import type { WhatsAppSocket } from '../whatsapp/socket.ts'
import { OutboxSender } from './outbox-sender.ts'

/** For the tests of an outbox: one with messages in it, and connections that note what goes over them. */

export const ACK_WITHIN_MS = 20_000
export const TRY_AGAIN_MS = 2_000

const ended: (() => void)[] = []

/** After each test: none of its senders left a timer behind. */
export function allEnded(): void {
  for (const end of ended.splice(0)) end()
}

/** Sessions are remembered by the process, so every test takes one of its own. */
let sessions = 0

export async function begin(count: number, script: Script<OutboxStore> = {}) {
  const clock = fakeClock()
  const key = keyOf(`outbox-${sessions++}`)
  const { outbox } = memory(clock).stores
  let reads = 0
  const asked: string[] = []
  const counted: OutboxStore = {
    ...outbox,
    pending: (...ask) => (reads++, outbox.pending(...ask)),
    get: (of, id) => (asked.push(id), outbox.get(of, id)),
  }
  const background = (work: () => Promise<void>): void => void work()
  const store = faulty(counted, script)
  const aside: string[] = []
  const setAside = (id: string): void => void aside.push(id)
  const droppedKinds: string[] = []
  const dropped = (what: string): void => void droppedKinds.push(what)
  const make = (): OutboxSender =>
    new OutboxSender({ key, store, clock, log: silent, background, setAside, dropped })
  const sender = make()
  const messages = Array.from({ length: count }, (_, at) => message(at))
  const ids = messages.map(({ id }) => id)
  for (const one of messages) await outbox.enqueue(key, one)
  const wire: string[] = []
  /** A connection that notes what is sent; `send` says what becomes of it. */
  const connection = (send: (id: string) => Promise<void> | void = () => undefined): WhatsAppSocket =>
    socketOf({
      send: async ({ id }) => {
        await send(id)
        wire.push(id)
      },
    })
  const stateOf = async (id: string): Promise<OutboxMessage['state'] | undefined> =>
    (await outbox.get(key, id))?.state
  ended.push(() => expect(clock.timers).toBe(0))
  return {
    clock,
    key,
    outbox,
    sender,
    make,
    ids,
    wire,
    connection,
    stateOf,
    script,
    aside,
    droppedKinds,
    asked,
    reads: () => reads,
  }
}

/** Whoever it is. */
export const anybody = (): boolean => true

type World = Awaited<ReturnType<typeof begin>>
export const first = ({ ids }: World): string => ids[0] as string
