/**
 * A process of its own on an embedded data folder, for what only a real process can show. Started with a task, the
 * folder and a name; it tells what it did on stdout, one line each, and goes on until it is killed or its stdin ends.
 */
import { DatabaseSync } from 'node:sqlite'
import { systemClock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { createLog } from '#shared/log.ts'
import { endBroken } from '#shared/process.ts'
import { systemRandom } from '#shared/random.ts'
import { feedItem, runner as runnerId, entry, keyOf, lease } from './samples.ts'

const [task, dataDir = '', name = ''] = process.argv.slice(2)
const say = (line: string | number) => process.stdout.write(`${line}\n`)

const log = createLog({ level: 'info', pretty: false, service: 'child', version: '1' })
const stores = await openEmbeddedStores({
  dataDir,
  clock: systemClock,
  random: systemRandom,
  ...(name === 'wired' && { onBroken: endBroken(log) }),
})
say('open')

const tasks: Record<string, () => Promise<void>> = {
  /** Appends without end, to four sessions at once, and says each seq after it was acknowledged. */
  append: async () => {
    const writers = [1, 2, 3, 4].map(async (session) => {
      for (let seq = 1; ; seq++) {
        await stores.journal.append(keyOf('t', `s${session}`), entry(seq))
        say(`${session} ${seq}`)
      }
    })
    await Promise.all(writers)
  },

  /** Breaks its database: a group can't be taken back. Whoever handles that is said by the name. */
  break: async () => {
    DatabaseSync.prototype.exec = () => {
      throw Object.assign(new Error('disk I/O error'), { code: 'ERR_SQLITE_ERROR', errcode: 10 })
    }
    const items = [feedItem(1), feedItem(2, { id: {} as never })]
    await stores.feed.add(keyOf('t', 's'), items, 1).catch(() => say('refused'))
  },

  renew: async () => {
    await stores.runners.renew(lease(name, 1))
    say('renewed')
  },

  watch: async () => {
    stores.owners.watch((key) => say(key))
    say('watching')
  },

  /** Claims the epochs 1 to 40 of one session against the others, and says which it got. */
  claim: async () => {
    for (let epoch = 0; epoch < 40; epoch++) {
      const ask = {
        key: keyOf('t', 's'),
        runnerId: runnerId(name),
        expectEpoch: epoch,
        nonce: `${name}-${epoch}`,
      }
      const owner = await stores.owners.claim({ ...ask, nowMs: 1 }).catch(() => undefined)
      if (owner) say(`won ${owner.epoch}`)
    }
    say('done')
  },
}

await tasks[task ?? '']?.()
process.stdin.resume().on('end', () => void stores.close())
