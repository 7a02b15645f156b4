import { systemClock } from '#shared/clock.ts'
import { toError } from '#shared/errors.ts'
import type { Api } from '#test/e2e/api.ts'
import { converse, type Linked } from '#test/e2e/people.ts'
import type { WhatsAppAdmin } from '#test/whatsapp/client.ts'

/**
 * A beat takes some 50 ms on a machine that is not busy. Nobody who waits for an answer notices a second; five are half of
 * what ends a lease, and more than a suite on two processors ever took for one.
 */
const BEAT_WITHIN_MS = 5_000

/** It is to be a neighbour, not a load. */
const REST_MS = 100

export interface Heartbeat {
  /** Ends after the beat that is under way. @throws Error when one was missed, or was late */
  stop(): Promise<void>
}

/** A tenant that does nothing but live: a text out and a text in, one after the other, each read where it went. */
export function startHeartbeat(api: Api, whatsapp: WhatsAppAdmin, linked: Linked, peer: string): Heartbeat {
  const tookMs: number[] = []
  let isOver = false
  let missed: Error | undefined
  const beating = (async () => {
    while (!isOver || tookMs.length === 0) {
      const startMs = performance.now()
      await converse(api, whatsapp, linked, peer, `beat ${tookMs.length} ${startMs}`)
      tookMs.push(performance.now() - startMs)
      await systemClock.sleep(REST_MS)
    }
  })().catch((error: unknown) => (missed = toError(error)))
  return {
    async stop() {
      isOver = true
      await beating
      if (missed) throw new Error('a session of another tenant missed a beat', { cause: missed })
      const slowestMs = Math.round(Math.max(...tookMs))
      if (slowestMs > BEAT_WITHIN_MS)
        throw new Error(`a session of another tenant took ${slowestMs} ms for a beat`)
    },
  }
}
