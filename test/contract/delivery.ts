import { encodeWAMessage, type BinaryNode } from '@whiskeysockets/baileys'
import { expect } from 'vitest'
import { Inbox } from '#runner/app/inbox.ts'
import { InboxDeliverer } from '#runner/app/inbox-deliverer.ts'
import { TEXT_BYTES_MAX } from '#runner/app/storable-item.ts'
import { silent } from '#runner/runner.fixture.ts'
import { APP_TYPE } from '#runner/state/app-records.ts'
import type { Change } from '#runner/state/pending-changes.ts'
import { encodeValue, recordKey } from '#runner/state/record.ts'
import { RecordMap } from '#runner/state/record-map.ts'
import type { SessionState } from '#runner/state/session-state.ts'
import { systemClock } from '#shared/clock.ts'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { keyOf } from './samples.ts'

const KEY = keyOf('t', 's')

/** What a feed of this set makes of messages as strangers write them (docs/design/state.md §6.3). */
export function deliveryContract(make: Make, options: ContractOptions = {}): void {
  contract('Delivery to the feed', make, options, (promise) => {
    promise('passes what no store can keep, kept as far as it can be and marked', async ({ stores }) => {
      const records = new RecordMap()
      const set = async (changes: readonly Change[]): Promise<void> => {
        for (const [key, value] of changes) records.set(key, value)
      }
      const inbox = new Inbox({ records, journal: { set } } as unknown as SessionState)
      const texts = Array.from({ length: 14 }, (_, at) => `text ${at}`)
      texts[0] = 'x\ud83dy'
      texts[1] = 'ä'.repeat(1_050_000)
      texts[13] = '\udc00'
      for (const [at, text] of texts.entries()) {
        const ciphertext = Uint8Array.of(at)
        const content: BinaryNode[] = [{ tag: 'enc', attrs: {}, content: ciphertext }]
        const attrs = { id: `M${at}`, from: '4917000000002@s.whatsapp.net', t: '1790000000' }
        inbox.note({ tag: 'message', attrs, content })
        const kept = inbox.keep(ciphertext, encodeWAMessage({ conversation: text }))
        if (kept) records.set(recordKey(APP_TYPE, kept.id), encodeValue(kept.value))
      }
      const aside: unknown[] = []
      const emptied = Promise.withResolvers<void>()
      const deliverer = new InboxDeliverer({
        key: KEY,
        inbox,
        creds: () => undefined,
        store: stores.feed,
        clock: systemClock,
        log: silent,
        delivered: () => undefined,
        dropped: () => undefined,
        emptied: emptied.resolve,
        setAside: (item) => aside.push(item),
      })
      deliverer.poke()
      await emptied.promise
      await deliverer.close()
      const { items } = await stores.feed.list(KEY, { limit: 99 })
      expect(items.map(({ id, text }) => [id, text])).toEqual([
        ['M0', 'x\ufffdy'],
        ['M1', 'ä'.repeat(TEXT_BYTES_MAX / 2)],
        ...texts.slice(2, 13).map((text, at) => [`M${at + 2}`, text]),
        ['M13', '\ufffd'],
      ])
      expect(items.flatMap(({ id, altered }) => (altered ? [[id, altered]] : []))).toEqual([
        ['M0', ['characters']],
        ['M1', ['cut']],
        ['M13', ['characters']],
      ])
      expect([aside, inbox.hasWaiting]).toEqual([[], false])
    })
  })
}
