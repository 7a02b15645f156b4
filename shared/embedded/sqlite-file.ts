import { setImmediate as turn } from 'node:timers/promises'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { systemClock } from '../clock.ts'
import { CodedError } from '../errors.ts'
import { migrate } from './migrations.ts'
import { isBusy, storeError } from './sqlite-error.ts'
import { WriteQueue, type WriteTask } from './write-queue.ts'
import { openWriteAheadLog, type WriteAheadLog } from './write-ahead-log.ts'

/** What a task without a stated size is taken for. */
const TASK_BYTES = 1_024
/** How long a call waits for other processes that write: far below `renewWithinMs` (docs/design/ownership.md §4.1). */
const BUSY_FOR_MS = 2_000
/** A transaction of another process takes some 0.1 ms; waking more often than this would only burn CPU. */
const BUSY_STEP_MS = 1
/** How long one caller after the other may read before the event loop turns: what a ping can wait unnoticed. */
const READING_MS_MAX = 5

/**
 * One SQLite database that several processes share. All writes that wait at the same time, whosever they are, go out in
 * one transaction and one `fdatasync` (group commit); waiting for the disk or for another process never blocks the
 * event loop, only the statements themselves do. Each write resolves when it is durable.
 *
 * A task refuses before it writes: one that throws after it wrote takes its whole group back with it.
 */
export class SqliteFile {
  /** Runs after each group that wrote something and is durable. */
  onCommit: () => void = () => {}
  readonly #path: string
  readonly #database: DatabaseSync
  readonly #log: WriteAheadLog
  readonly #statements = new Map<string, StatementSync>()
  readonly #queue = new WriteQueue()
  #rowsWritten = 0
  #scrubDue = false
  #turnedMs = 0
  #drained: Promise<void> | undefined
  /** Why nothing more is accepted. */
  #refuse: Error | undefined
  /** Set once the disk failed to sync: nothing that this process wrote since can be trusted. */
  #failed: Error | undefined
  #closed: Promise<void> | undefined

  private constructor(path: string, database: DatabaseSync, log: WriteAheadLog) {
    this.#path = path
    this.#database = database
    this.#log = log
  }

  /**
   * Opens or creates the database at `path` and brings its schema up to date. Blocks; one process at a time may be in
   * here (the caller holds a lock). `logBytes` is the size the write-ahead log is grown to at once.
   * @throws CodedError `config` when a newer version of Mooring wrote the file, `store_unavailable`
   */
  static open(options: {
    path: string
    migrations: readonly string[]
    logBytes: number
    secureDelete?: boolean
  }): SqliteFile {
    const { path, migrations, logBytes, secureDelete = false } = options
    let database: DatabaseSync | undefined
    try {
      database = new DatabaseSync(path, { timeout: BUSY_FOR_MS })
      database.exec(
        `PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 1000`,
      )
      if (secureDelete) database.exec('PRAGMA secure_delete = ON')
      database.exec('BEGIN IMMEDIATE')
      migrate(database, path, migrations)
      database.exec('COMMIT; BEGIN IMMEDIATE')
      const log = openWriteAheadLog(path, logBytes)
      log.grow()
      // From here on waiting is ours: SQLite would wait by blocking the thread.
      database.exec('ROLLBACK; PRAGMA busy_timeout = 0')
      return new SqliteFile(path, database, log)
    } catch (thrown) {
      database?.close()
      throw storeError(`open ${path}`, thrown)
    }
  }

  all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepared(sql).all(...values) as Row[]
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- a statement's row gets its type here.
  get<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepared(sql).get(...values) as Row | undefined
  }

  each<Row>(sql: string, ...values: SQLInputValue[]): Iterable<Row> {
    return this.#prepared(sql).iterate(...values) as Iterable<Row>
  }

  /** Only inside a task of `write`. Answers how many rows it changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    const rows = Number(this.#prepared(sql).run(...values).changes)
    this.#rowsWritten += rows
    return rows
  }

  /**
   * Inside a task of `write`: once that is durable, what it deleted is also to leave the write-ahead log. Tried again
   * with the next commit where another process reads right then.
   */
  scrub(): void {
    this.#scrubDue = true
  }

  /** @throws CodedError `store_unavailable`, and what `task` throws */
  async read<T>(doing: string, task: () => T): Promise<T> {
    const nowMs = systemClock.monotonicMs()
    if (nowMs - this.#turnedMs > READING_MS_MAX) {
      // Reads end in the microtask queue: a caller who reads page after page would keep everything else waiting.
      await turn()
      this.#turnedMs = systemClock.monotonicMs()
    }
    try {
      return await whenFree(task)
    } catch (thrown) {
      throw storeError(doing, thrown)
    }
  }

  /** @throws CodedError `store_unavailable`, `overloaded`, and what `task` throws */
  write<T>(doing: string, task: () => T, bytes?: number): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#refuse) return reject(unavailable(doing, this.#refuse))
      const run = () => {
        const value = task()
        return () => resolve(value)
      }
      const isTaken = this.#queue.push({ doing, bytes: bytes ?? TASK_BYTES, run, reject })
      if (!isTaken) return reject(new CodedError('overloaded', doing))
      this.#drained ??= this.#drain()
    })
  }

  /** Takes the write lock and lets it go. @throws CodedError `store_unavailable` */
  check(): Promise<void> {
    return this.write(`write to ${this.#path}`, () => {})
  }

  /** Waits for what was asked before, then closes. Closing twice is harmless. */
  close(): Promise<void> {
    return (this.#closed ??= this.#end())
  }

  async #end(): Promise<void> {
    this.#refuse = new Error('the store was closed')
    await this.#drained
    this.#log.close()
    this.#database.close()
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (!statement) this.#statements.set(sql, (statement = this.#database.prepare(sql)))
    return statement
  }

  async #drain(): Promise<void> {
    // One turn of the microtask queue, so that what is asked in the same breath shares the first commit.
    await Promise.resolve()
    while (this.#queue.length > 0) await this.#commit(this.#queue.nextGroup())
    this.#drained = undefined
  }

  async #commit(group: readonly WriteTask[]): Promise<void> {
    let settle: readonly (() => void)[]
    const writtenBefore = this.#rowsWritten
    try {
      if (this.#failed) throw this.#failed
      await whenFree(() => this.#prepared('BEGIN IMMEDIATE').run())
      settle = this.#runAll(group)
      this.#prepared('COMMIT').run()
    } catch (thrown) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      for (const task of group) task.reject(unavailable(task.doing, thrown))
      return
    }
    const wrote = this.#rowsWritten !== writtenBefore
    try {
      if (wrote) await this.#log.sync()
      if (wrote && this.#scrubDue) this.#scrub()
    } catch (thrown) {
      // The kernel may have dropped the pages that it could not write, so that a second sync would succeed over a hole:
      // nothing that this process says about its writes can be trusted until it has opened the file anew.
      this.#failed = this.#refuse = new Error('the disk failed to sync', { cause: thrown })
      for (const task of group) task.reject(unavailable(task.doing, thrown))
      return
    }
    for (const done of settle) done()
    if (wrote) this.onCommit()
  }

  #scrub(): void {
    try {
      const { busy } = this.#prepared('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number }
      this.#scrubDue = busy !== 0
      if (this.#scrubDue) return
      this.#database.exec('BEGIN IMMEDIATE')
      this.#log.grow()
    } catch {
      // Another process writes, or the disk is full: the scrub or the growing comes later, nothing is lost by that.
    } finally {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
    }
  }

  #runAll(group: readonly WriteTask[]): (() => void)[] {
    return group.map((task) => {
      const writtenBefore = this.#rowsWritten
      try {
        return task.run()
      } catch (thrown) {
        const error = storeError(task.doing, thrown)
        if (this.#database.isTransaction && this.#rowsWritten === writtenBefore)
          return () => task.reject(error)
        task.reject(error)
        throw thrown
      }
    })
  }
}

const unavailable = (doing: string, cause: unknown) => new CodedError('store_unavailable', doing, { cause })

/** Repeats what SQLite refused because another process is at it, without blocking the event loop. */
async function whenFree<T>(action: () => T): Promise<T> {
  const sinceMs = systemClock.monotonicMs()
  for (;;) {
    try {
      return action()
    } catch (thrown) {
      if (!isBusy(thrown) || systemClock.monotonicMs() - sinceMs > BUSY_FOR_MS) throw thrown
      await systemClock.sleep(BUSY_STEP_MS)
    }
  }
}
