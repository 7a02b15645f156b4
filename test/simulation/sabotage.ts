import { RunnerLease } from '#runner/ownership/lease.ts'
import { LateLogins } from '#runner/session/late-logins.ts'
import { SessionJournal } from '#runner/state/journal.ts'
import type { Sabotage } from './host.ts'

/** A bug on purpose: what it changes between a runner and its world, and what takes it away again. */
export interface Bug {
  sabotage: Sabotage
  undo: () => void
}

/** The barrier is not written: a late writer of an older epoch meets nothing. */
export function skipBarrier(): Bug {
  // oxlint-disable-next-line typescript/unbound-method -- it is called with its own `this` below.
  const { append } = SessionJournal.prototype
  SessionJournal.prototype.append = function (this: SessionJournal, kind, changes) {
    return kind === 'barrier' ? Promise.resolve() : append.call(this, kind, changes)
  }
  return {
    sabotage: {},
    undo: () => {
      SessionJournal.prototype.append = append
    },
  }
}

/** The lease counts from when the answer to the renewal came, instead of from before it was sent. */
export function renewFromAnswer(): Bug {
  const waitedMs = new Map<string, number>()
  const leftMs = Object.getOwnPropertyDescriptor(RunnerLease.prototype, 'leftMs') as PropertyDescriptor
  Object.defineProperty(RunnerLease.prototype, 'leftMs', {
    configurable: true,
    get(this: RunnerLease): number {
      return (leftMs.get?.call(this) as number) + (waitedMs.get(this.id) ?? 0)
    },
  })
  return {
    sabotage: {
      stores: (stores, { clock }) => ({
        ...stores,
        runners: {
          ...stores.runners,
          renew: async (record) => {
            const sentMs = clock.monotonicMs()
            const stored = await stores.runners.renew(record)
            waitedMs.set(record.id, clock.monotonicMs() - sentMs)
            return stored
          },
        },
      }),
    },
    undo: () => void Object.defineProperty(RunnerLease.prototype, 'leftMs', leftMs),
  }
}

/** A login of our own that comes late is taken for somebody else's. */
export function blameOthers(): Bug {
  // oxlint-disable-next-line typescript/unbound-method -- it is only put back.
  const { explain } = LateLogins.prototype
  LateLogins.prototype.explain = () => false
  return {
    sabotage: {},
    undo: () => {
      LateLogins.prototype.explain = explain
    },
  }
}

/** A 440 is taken for a connection that was lost, and answered by a reconnect. */
export function reconnectOnConflict(): Bug {
  return {
    sabotage: {
      openSocket: (openSocket) => (ask) =>
        openSocket({
          ...ask,
          events: {
            ...ask.events,
            closed: (report) =>
              ask.events.closed(
                report.status === 440 ? { by: 'server', status: 428, message: 'Connection Closed' } : report,
              ),
          },
        }),
    },
    undo: () => undefined,
  }
}
