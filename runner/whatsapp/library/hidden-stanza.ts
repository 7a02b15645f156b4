import type { BinaryNode, WASocket } from '@whiskeysockets/baileys'

type Line = Pick<WASocket, 'ws' | 'sendNode'>

/** No handler of rc14 is for stanzas of this name. */
const HIDDEN = 'hidden'

/**
 * Keeps a stanza from rc14, which would work on it before it asks whether anybody should (a request to send again costs it
 * 6 ms for the keys that are in it, also for a message that never was), or does not know it. Called in the event `frame`,
 * before rc14 looks at its name. Answers how it goes on: `show` hands it to rc14 after all, `acknowledge` only tells the server that it was had.
 */
export function hideStanza(
  line: Line,
  stanza: BinaryNode,
): { show: () => void; acknowledge: () => Promise<void> } {
  const { tag } = stanza
  stanza.tag = HIDDEN
  const { id, from, participant, recipient, type } = stanza.attrs
  return {
    show: () => {
      line.ws.emit(`CB:${tag}`, { ...stanza, tag })
    },
    // As rc14 acknowledges a receipt or a notification, but for one thing: it can't before it is paired.
    acknowledge: () => {
      const named = { id, to: from, class: tag, participant, recipient, type }
      const given = Object.entries(named).flatMap(([name, value]) => (value ? [[name, value] as const] : []))
      return line.sendNode({ tag: 'ack', attrs: Object.fromEntries(given) })
    },
  }
}
