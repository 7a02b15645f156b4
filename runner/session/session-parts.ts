import type { SessionKey } from '#shared/ids.ts'
import type { Want } from '#shared/session.ts'
import type { Block } from './block.ts'
import { Connection } from './connection.ts'
import { HeldState } from './held-state.ts'
import { Identity } from './identity.ts'
import { LastClose } from './last-close.ts'
import type { LiveSessionDeps } from './live-session-deps.ts'
import { MessageTraffic } from './message-traffic.ts'
import { Pairing } from './pairing.ts'
import { Retry } from './retry.ts'
import { leadsTo, makeMove, type Move, type Stage } from './stages.ts'
import { SupersededDevices } from './superseded-devices.ts'

/** What a session brings along from its owner before. */
export interface Inherited {
  block?: Block | undefined
  /** Failed attempts in a row. */
  attempts?: number
  /** Its predecessor was connected until a moment ago: it need not wait for its turn to connect. */
  handedOver?: boolean
}

/**
 * What one session in hand is made of. Each part knows its own moves alone; what they are together is the stage, and what
 * changes several of them is a move of the table of `stages.ts`. Only the four files of the moves hold this (`live-session.ts`, `rehydration.ts`, `socket-events.ts`, `ending.ts`).
 */
export class SessionParts {
  readonly key: SessionKey
  readonly deps: LiveSessionDeps
  readonly held = new HeldState()
  readonly connection: Connection
  readonly identity = new Identity()
  readonly pairing = new Pairing()
  readonly lastClose = new LastClose()
  readonly superseded = new SupersededDevices()
  readonly retry: Retry
  readonly traffic: MessageTraffic
  /** By which proxy its connections go, from the latest one on. */
  proxy: Want['proxy']

  constructor(
    deps: LiveSessionDeps,
    key: SessionKey,
    { attempts = 0, block, handedOver = false }: Inherited,
  ) {
    const { clock, log, stores, bodies, dice } = deps
    this.deps = deps
    this.key = key
    this.connection = new Connection(handedOver)
    this.retry = new Retry(clock, dice, { attempts, block })
    this.traffic = new MessageTraffic({
      key,
      stores,
      bodies,
      clock,
      log,
      background: (work, of) => deps.background(key, work, of),
      dropped: deps.dropped,
      emptied: () => {
        // What holds no connection is held for this alone.
        if (this.connection.view.is !== 'open') deps.wake(key)
      },
      setAside: (of, why, detail) => {
        const epoch = this.held.present?.epoch ?? 0
        deps.event(key, { kind: 'set_aside', to: of, why, epoch, detail })
      },
    })
  }

  /** Where the session is: what its parts are together. */
  get stage(): Stage {
    const { held, connection, lastClose, retry } = this
    if (held.is !== 'loaded') return held.is
    if (connection.isClosing) return 'closing'
    if (connection.view.is !== 'none') return connection.view.is
    if (lastClose.pending) return 'judging'
    return retry.block ? 'blocked' : 'ready'
  }

  /** @throws what `makeMove` throws */
  move(move: Move, work: () => void = () => undefined): void {
    makeMove(move, () => this.stage, work)
  }

  /** The same for what comes from the network, which is no mistake of ours: where it makes no sense it is logged, no more. */
  heard(move: Move, work: () => void): void {
    const { stage } = this
    if (leadsTo(move, stage)) this.move(move, work)
    else
      this.deps.log.warn(
        { sessionId: this.key, event: move, stage },
        'an event of a connection came where it makes no sense',
      )
  }

  /** The connection is over. `isGivenUp`: without a word of the server, so that a login which was sent may still arrive. */
  connectionOver(isGivenUp: boolean): void {
    const { connection, pairing, retry, traffic, deps, key } = this
    const was = connection.over()
    if (isGivenUp && was.is === 'connecting' && was.asPaired)
      deps.lateLogins.note(key, deps.clock.monotonicMs())
    retry.closed()
    pairing.hide()
    void traffic.outbox.closed()
  }
}
