import { expect } from 'vitest'
import { sealRequest } from '#shared/sealing/outbox-bodies.ts'
import type { OutboxMessage } from '#shared/store/outbox-message.ts'
import type { OutboxStore } from '#shared/store/outbox-store.ts'
import { testBodies } from '#test/bodies.ts'
import { faulty, type Script } from '#test/contract/faulty.ts'
import { AT } from '#test/contract/samples.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { keyOf, memory, silent, socketOf } from '../runner.fixture.ts'
import type { WhatsAppSocket } from '../whatsapp/socket.ts'
import type { Me } from './binding.ts'
import { OutboxSender } from './sender.ts'

/** For the tests of an outbox: one with messages in it, and connections that note what goes over them. */

export const ACK_WITHIN_MS = 20_000
export const TRY_AGAIN_MS = 2_000
export const ME: Me = { jid: '4915111111111:3@s.whatsapp.net', lid: '900000000000001:3@lid' }
export const OTHER: Me = { jid: '4915222222222:1@s.whatsapp.net', lid: '900000000000002:1@lid' }
export const ANNA = '4917000000001@s.whatsapp.net'
export const BERT = '4917000000002@s.whatsapp.net'
export const bodies = testBodies()

const ended: (() => void)[] = []

/** After each test: none of its senders left a timer behind. */
export function allEnded(): void {
  for (const end of ended.splice(0)) end()
}

/** Sessions are remembered by the process, so every test takes one of its own. */
let sessions = 0

interface Sent {
  id: string
  again: boolean | undefined
  text: string
}

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
  /** As the reporter does: what the store has no answer for now is tried again. */
  let isFull = false
  const background = (work: () => Promise<void>): boolean => !isFull && (void untilDone(work), true)
  const untilDone = (work: () => Promise<void>): Promise<void> =>
    work().catch(async (error: { code?: string }) => {
      if (error.code !== 'store_unavailable') throw error
      await clock.sleep(100)
      return untilDone(work)
    })
  const store = faulty(counted, script)
  const aside: string[] = []
  const droppedKinds: string[] = []
  const make = (epoch = 1): OutboxSender =>
    new OutboxSender({
      key,
      store,
      bodies,
      clock,
      log: silent,
      epoch: () => epoch,
      chatOf: (to) => to,
      background,
      setAside: (id) => void aside.push(id),
      dropped: (what) => void droppedKinds.push(what),
    })
  /** Accepts one more, to Anna unless it says otherwise, under an id that says its number. */
  const accept = async (
    number: number,
    more: Partial<OutboxMessage> = {},
    account: string | undefined = '4915111111111@s.whatsapp.net',
  ): Promise<string> => {
    const id = `3EB0${String(number).padStart(6, '0')}`
    await outbox.enqueue(key, {
      id,
      to: ANNA,
      state: 'queued',
      acceptedAt: AT + number,
      updatedAt: AT + number,
      expiresAt: clock.nowMs() + 86_400_000,
      ...(account !== '' && { account }),
      request: await sealRequest(bodies, key, id, { type: 'text', text: { body: `text ${number}` } }),
      ...more,
    })
    return id
  }
  const ids: string[] = []
  for (let number = 0; number < count; number++) ids.push(await accept(number))
  const wire: string[] = []
  const sends: Sent[] = []
  let prepared = 0
  /** A connection that notes what is sent; `send` says what becomes of it. No two prepared forms are the same. */
  const connection = (send: (id: string) => Promise<void> | void = () => undefined): WhatsAppSocket =>
    socketOf({
      prepare: async ({ request }) => Buffer.from(`${request.text.body}, form ${++prepared}`),
      send: async ({ id, prepared: bytes, again }) => {
        await send(id)
        wire.push(id)
        sends.push({ id, again, text: Buffer.from(bytes).toString() })
      },
    })
  const found = (id: string): Promise<OutboxMessage | undefined> => outbox.get(key, id)
  const stateOf = async (id: string): Promise<OutboxMessage['state'] | undefined> => (await found(id))?.state
  ended.push(() => expect(clock.timers).toBe(0))
  return {
    clock,
    key,
    outbox,
    sender: make(),
    make,
    accept,
    ids,
    wire,
    sends,
    connection,
    found,
    stateOf,
    script,
    aside,
    droppedKinds,
    fill: (full: boolean) => (isFull = full),
    asked,
    reads: () => reads,
  }
}

/** Whoever it is. */
export const anybody = (): boolean => true

type World = Awaited<ReturnType<typeof begin>>
export const first = ({ ids }: World): string => ids[0] as string
