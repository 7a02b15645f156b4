import type { SupersededDevice } from '#shared/session.ts'
import { withDevice } from './superseded.ts'

/**
 * The devices that a session was before, and the one of them that is being unlinked now. `undefined` until they were found:
 * until then the status keeps what it says.
 */
export class SupersededDevices {
  #devices: readonly SupersededDevice[] | undefined
  #notBeforeMs = 0
  #stop: AbortController | undefined

  get devices(): readonly SupersededDevice[] | undefined {
    return this.#devices
  }

  /** The next one to take off the phone. */
  get pending(): SupersededDevice | undefined {
    return this.#devices?.find(({ state }) => state === 'pending')
  }

  /** Monotonic: none is tried before, nor the session's own where that is removed. */
  get notBeforeMs(): number {
    return this.#notBeforeMs
  }

  /** What a rehydration found. */
  found(devices: readonly SupersededDevice[]): void {
    this.#devices = devices
  }

  /** It was put aside while it is still linked. */
  add(snapshot: string, jid: string | undefined, at: number): void {
    this.conclude({ snapshot, ...(jid === undefined ? {} : { jid }), state: 'pending', tries: 0, at })
  }

  /** The same device in its new state. */
  conclude(device: SupersededDevice): void {
    this.#devices = withDevice(this.#devices ?? [], device)
  }

  /** It was no superseded device, or is none any more. */
  forget(snapshot: string): void {
    this.#devices = this.#devices?.filter((device) => device.snapshot !== snapshot)
  }

  waitUntil(atMs: number): void {
    this.#notBeforeMs = atMs
  }

  /** One is being unlinked from now on. The signal ends that. */
  begin(): AbortSignal {
    this.#stop?.abort()
    this.#stop = new AbortController()
    return this.#stop.signal
  }

  /** Ends what is under way: a device that is unlinked after this may be the live one. */
  stop(): void {
    this.#stop?.abort()
  }
}
