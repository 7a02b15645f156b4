import type { Watch } from '../store/watch.ts'
import type { SqliteFile } from './sqlite-file.ts'

export type Topic = 'session' | 'owner' | 'runner' | 'outbox' | 'job' | 'removal'

interface Watcher {
  topic: Topic
  changed: (key: string) => void
}

/** A tenth of the delay a person notices; one look costs some 5 µs while nothing changes. */
const LOOK_EVERY_MS = 20
/** Rows kept for processes that look late; who was away for longer relies on the full pass (shared/store/watch.ts). */
const KEPT = 4_096
const TRIM_EVERY = 512
/** A row names a session, and of one that was purged no name may stay: rows go once every process had this long to look. */
const FORGET_AFTER_MS = 5_000

/**
 * The changes that watches tell of, in a table of the database itself. Writers of this process are heard as soon as they
 * are durable; those of other processes by `PRAGMA data_version`, which moves with every commit of another connection.
 */
export class Changes {
  readonly #file: SqliteFile
  readonly #watches = new Set<Watcher>()
  #seenRev = 0
  #seenVersion = 0
  #timer: NodeJS.Timeout | undefined
  #forgetting: NodeJS.Timeout | undefined
  /** The newest row when it was last looked what is to be forgotten. */
  #oldRev = 0

  constructor(file: SqliteFile) {
    this.#file = file
    file.onCommit = () => void this.#tell()
  }

  /** Notes a change, inside the transaction that makes it. */
  note(topic: Topic, key: string): void {
    const row = this.#file.get<{ rev: number }>(
      'INSERT INTO changes (topic, key) VALUES (?, ?) RETURNING rev',
      topic,
      key,
    )
    if (row && row.rev % TRIM_EVERY === 0) {
      this.#file.run('DELETE FROM changes WHERE rev <= ?', row.rev - KEPT)
    }
  }

  watch(topic: Topic, changed: (key: string) => void): Watch {
    const watch = { topic, changed }
    if (this.#watches.size === 0) this.#start()
    this.#watches.add(watch)
    return {
      close: async () => {
        if (this.#watches.delete(watch) && this.#watches.size === 0) this.close()
      },
    }
  }

  /** Ends every watch. */
  close(): void {
    this.#watches.clear()
    clearInterval(this.#timer)
    clearInterval(this.#forgetting)
  }

  #start(): void {
    this.#seenRev = this.#file.get<{ rev: number | null }>('SELECT max(rev) AS rev FROM changes')?.rev ?? 0
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref()
    this.#forgetting = setInterval(() => void this.#forget(), FORGET_AFTER_MS).unref()
  }

  async #forget(): Promise<void> {
    try {
      const newest = this.#file.get<{ rev: number | null }>('SELECT max(rev) AS rev FROM changes')?.rev ?? 0
      const old = this.#oldRev
      this.#oldRev = newest
      if (newest === 0 || old === 0) return
      await this.#file.write('forget old changes', () =>
        this.#file.run('DELETE FROM changes WHERE rev <= ?', old),
      )
    } catch {
      // Busy, away or closed: the next look makes up for it.
    }
  }

  #look(): void {
    try {
      const version = this.#file.get<{ data_version: number }>('PRAGMA data_version')?.data_version ?? 0
      if (version !== this.#seenVersion && this.#tell()) this.#seenVersion = version
    } catch {
      // Busy or away: a watch is a hint, and the next look tells what this one could not.
    }
  }

  /** Calls the watches for what is new; false when the database could not be asked. */
  #tell(): boolean {
    if (this.#watches.size === 0) return true
    let rows: readonly { rev: number; topic: Topic; key: string }[]
    try {
      rows = this.#file.all('SELECT rev, topic, key FROM changes WHERE rev > ? ORDER BY rev', this.#seenRev)
    } catch {
      return false
    }
    this.#seenRev = rows.at(-1)?.rev ?? this.#seenRev
    const news = new Map(rows.map((row) => [`${row.topic} ${row.key}`, row]))
    for (const { topic, key } of news.values()) {
      for (const watch of this.#watches) if (watch.topic === topic) this.#call(watch, key)
    }
    return true
  }

  /** In a turn of its own: what a watcher throws is a bug of its own and must not end the commit that it heard of. */
  #call(watch: Watcher, key: string): void {
    queueMicrotask(() => {
      if (this.#watches.has(watch)) watch.changed(key)
    })
  }
}
