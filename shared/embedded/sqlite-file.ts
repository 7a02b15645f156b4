import { setImmediate as turn } from 'node:timers/promises'
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { systemClock } from '../clock.ts'
import { CodedError, hasCode, toError } from '../errors.ts'
import { openDatabaseFile, whenFree, type DatabaseFile } from './database-file.ts'
import { storeError } from './sqlite-error.ts'
import { WriteQueue, type WriteTask } from './write-queue.ts'
import type { WriteAheadLog } from './write-ahead-log.ts'

/** What a task without a stated size is taken for. */
const TASK_BYTES = 1_024
/** What a person is told of a database that this process can't use any more. */
const BROKEN_HINT =
  'The process ends, and the next one opens the database anew; if it comes again, look at the disk.'
/** How long one caller after the other may read before the event loop turns: what a ping can wait unnoticed. */
const READING_MS_MAX = 5

/**
 * One SQLite database that several processes share. All writes that wait at the same time, whosever they are, go out in
 * one transaction and one `fdatasync` (group commit); waiting for the disk or for another process never blocks the
 * event loop, only the statements themselves do. Each write resolves when it is durable.
 *
 * A task refuses before it writes. One that throws after it wrote costs the others of its group another try without it, so
 * a task may run more than once and changes nothing but the database.
 *
 * When the disk fails to sync, or a transaction can't be taken back, nothing that this connection says can be trusted any
 * more: every call is refused from then on, and `onBroken` is told once, which by default ends the process.
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
  /** Set once it is broken. */
  #broken: Error | undefined
  readonly #onBroken: (error: Error) => void
  #closed: Promise<void> | undefined

  private constructor(
    path: string,
    database: DatabaseSync,
    log: WriteAheadLog,
    onBroken: (error: Error) => void,
  ) {
    this.#path = path
    this.#database = database
    this.#log = log
    this.#onBroken = onBroken
  }

  /**
   * Opens or creates the database at `path` and brings its schema up to date. Blocks; one process at a time may be in
   * here (the caller holds a lock). `onBroken` is told when it can't be used any more, and by default throws past every
   * handler.
   * @throws CodedError `config` when a newer version of Mooring wrote the file or the file or its disk needs a person,
   *   `store_unavailable`
   */
  static open(options: DatabaseFile & { onBroken?: (error: Error) => void }): SqliteFile {
    const { database, log } = openDatabaseFile(options)
    return new SqliteFile(options.path, database, log, options.onBroken ?? throwPastHandlers)
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
    // Of a transaction that could not be taken back this connection would see what nobody committed.
    if (this.#broken) throw this.#unavailable(doing, this.#broken)
    try {
      return await whenFree(task)
    } catch (thrown) {
      throw storeError(doing, thrown, this.#path)
    }
  }

  /** @throws CodedError `store_unavailable`, `store_refused`, `overloaded`, and what `task` throws */
  write<T>(doing: string, task: () => T, bytes?: number): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#refuse) return reject(this.#unavailable(doing, this.#refuse))
      const run = () => {
        const value = task()
        return () => resolve(value)
      }
      const isTaken = this.#queue.push({ doing, bytes: bytes ?? TASK_BYTES, run, reject })
      if (!isTaken) return reject(new CodedError('overloaded', doing))
      this.#drained ??= this.#drain().catch((thrown: unknown) =>
        this.#break('its writes ended in a bug', thrown),
      )
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

  /** Settles every task of the group; the ones that the group can't hold because of what they wrote, before the others. */
  async #commit(group: readonly WriteTask[]): Promise<void> {
    let tasks = group
    let settle: readonly (() => void)[] | undefined
    const writtenBefore = this.#rowsWritten
    while (settle === undefined) {
      try {
        if (this.#broken) throw this.#broken
        await whenFree(() => this.#prepared('BEGIN IMMEDIATE').run())
        const run = this.#runAll(tasks)
        if (run.spoilt === undefined) {
          this.#prepared('COMMIT').run()
          settle = run.settle
        } else {
          this.#rollBack()
          this.#rowsWritten = writtenBefore
          tasks = tasks.filter((task) => task !== run.spoilt)
        }
      } catch (thrown) {
        this.#rollBack()
        for (const task of tasks) task.reject(this.#unavailable(task.doing, thrown))
        return
      }
    }
    const wrote = this.#rowsWritten !== writtenBefore
    try {
      if (wrote) await this.#log.sync()
      if (wrote && this.#scrubDue) this.#scrub()
    } catch (thrown) {
      // The kernel may have dropped the pages that it could not write, so that a second sync would succeed over a hole.
      for (const task of tasks) task.reject(this.#unavailable(task.doing, thrown))
      return this.#break('the disk failed to sync', thrown)
    }
    for (const done of settle) done()
    if (wrote) this.onCommit()
  }

  /** Trouble that comes with it, but for a transaction that stays open all the same, has been met by what came before it. */
  #rollBack(): void {
    try {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
    } catch (thrown) {
      if (this.#database.isTransaction) this.#break('a transaction could not be taken back', thrown)
    }
  }

  #break(what: string, thrown: unknown): void {
    if (this.#broken) return
    const message = `${this.#path}: ${what}; nothing more is read or written here`
    const error = new CodedError('store_unavailable', message, { cause: toError(thrown), hint: BROKEN_HINT })
    this.#broken = this.#refuse = error
    while (this.#queue.length > 0) {
      for (const task of this.#queue.nextGroup()) task.reject(this.#unavailable(task.doing, error))
    }
    this.#onBroken(error)
  }

  /** Not now, whatever was thrown: with what the disk says, or the error that broke it, where one is known. */
  #unavailable(doing: string, thrown: unknown): CodedError {
    const error = storeError(doing, thrown, this.#path)
    if (error === this.#broken)
      return new CodedError('store_unavailable', `${doing}: ${error.message}`, {
        cause: error,
        hint: BROKEN_HINT,
      })
    if (hasCode(error, 'store_unavailable')) return error
    return new CodedError('store_unavailable', doing, { cause: thrown })
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

  /**
   * Runs the tasks up to one that spoils the group: it threw after it wrote, so what it wrote must be taken back, and all else
   * with it. It is rejected here. @throws the trouble of the machine, which is no task's own
   */
  #runAll(tasks: readonly WriteTask[]): { settle: readonly (() => void)[]; spoilt?: WriteTask } {
    const settle: (() => void)[] = []
    for (const task of tasks) {
      const writtenBefore = this.#rowsWritten
      try {
        settle.push(task.run())
      } catch (thrown) {
        const error = storeError(task.doing, thrown, this.#path)
        // SQLite itself takes a transaction back when the disk is full or fails.
        if (!this.#database.isTransaction || hasCode(error, 'store_unavailable')) throw thrown
        if (this.#rowsWritten === writtenBefore) {
          settle.push(() => task.reject(error))
        } else {
          task.reject(error)
          return { settle, spoilt: task }
        }
      }
    }
    return { settle }
  }
}

/** What nobody was told how to handle ends the process (`uncaughtException`). */
const throwPastHandlers = (error: Error): void => {
  setImmediate(() => {
    throw error
  })
}
