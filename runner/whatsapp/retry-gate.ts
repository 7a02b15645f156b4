import type { BinaryNode, WASocket } from '@whiskeysockets/baileys'
import type { Clock } from '#shared/clock.ts'
import type { Dropped } from './dropped.ts'
import { hideStanza } from './library/hidden-stanza.ts'
import { PeerRate } from './peer-rate.ts'
import { authorOf, type People } from './people.ts'

/**
 * A person who lost a session asks for each message that waited, up to five times (rc14), by each device: an hour of an
 * ordinary chat at once, and after that as many as one reads. Each costs some 6 ms of CPU (docs/facts/baileys.md §7).
 */
const ALLOWANCE = { burst: 100, perSecond: 1 }

export interface RetryGateDeps {
  line: Pick<WASocket, 'ws' | 'sendNode'>
  people: People
  clock: Clock
  dropped: Dropped
  /** Whether a message went to whom `isFor` says yes to. */
  isSentTo: (id: string, isFor: (to: string) => boolean) => Promise<boolean>
  isClosed: () => boolean
}

/** Lets a request to send a message again through to the library only from a device to which that message went. */
export class RetryGate {
  readonly #deps: RetryGateDeps
  readonly #rate: PeerRate

  constructor(deps: RetryGateDeps) {
    this.#deps = deps
    this.#rate = new PeerRate(deps.clock, ALLOWANCE)
  }

  /** To be called with every stanza, before the library sees it; takes those that are such a request. */
  came(stanza: BinaryNode): void {
    if (stanza.tag !== 'receipt' || stanza.attrs['type'] !== 'retry') return
    const { people, line, dropped, isClosed } = this.#deps
    const hidden = hideStanza(line, stanza)
    const refuse = (why: 'retry' | 'rate'): void => {
      dropped(why)
      void hidden.acknowledge().catch(() => undefined)
    }
    if (!this.#rate.take(stanza.attrs)) return refuse('rate')
    const author = authorOf(stanza.attrs)
    // rc14 answers whom the stanza names, where it names somebody.
    if ((stanza.attrs['participant'] ?? author) !== author) return refuse('retry')
    // Our own devices ask for their copies, and for what only they get.
    if (people.isOwn(author)) return hidden.show()
    void this.#isFor(stanza).then(
      (isFor) => {
        if (isClosed()) return
        if (isFor) hidden.show()
        else refuse('retry')
      },
      // Not acknowledged: the server brings it again.
      () => undefined,
    )
  }

  async #isFor({ attrs, content }: BinaryNode): Promise<boolean> {
    const { people, isSentTo } = this.#deps
    const { id } = attrs
    // rc14 takes more ids from the first child; what asks for one message has no list.
    const first = Array.isArray(content) ? content[0] : undefined
    if (!id || (Array.isArray(first?.content) && first.content.some(({ tag }) => tag === 'item')))
      return false
    return isSentTo(id, (to) => people.isRecipient(to, attrs))
  }
}
