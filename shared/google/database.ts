import {
  type AggregateQuery,
  type AggregateSpec,
  type CollectionReference,
  type DocumentReference,
  type DocumentSnapshot,
  Firestore,
  type Query,
  type QuerySnapshot,
  Timestamp,
} from '@google-cloud/firestore'
import type { Clock } from '../clock.ts'
import type { Random } from '../random.ts'
import type { Watch } from '../store/watch.ts'
import { createCalls, type Calls } from './calls.ts'
import type { Meter } from './meter.ts'
import { noCredentials } from './no-credentials.ts'
import { asRefused, asStoreError, codeOf, GRPC, isMissingDatabase } from './vendor-error.ts'
import { Writes } from './writes.ts'

/** What a conditional write was answered. A refusal is an answer too: the caller reads back and sees whose it is. */
type Outcome =
  | { done: true; times: readonly Timestamp[] }
  | { done: false; because: 'exists' | 'missing' | 'changed' }

/**
 * The one way to Firestore: every call has a deadline, is counted, and answers in our words. Two clients per process over
 * gRPC (docs/facts/google-cloud.md §2.4), one of them for the leases alone.
 */
export interface Database {
  /** In the namespace, if there is one. Indexes go by this name alone, so they serve every namespace. */
  collection(name: string): CollectionReference
  readonly clock: Clock
  readonly random: Random
  readonly meter: Meter
  readonly calls: Calls
  /** Open listeners; what is still open when the database closes is closed with it. */
  readonly watches: Set<Watch>
  get(what: string, ref: DocumentReference, timeoutMs?: number): Promise<DocumentSnapshot>
  getAll(what: string, refs: readonly DocumentReference[]): Promise<readonly DocumentSnapshot[]>
  query(what: string, query: Query): Promise<QuerySnapshot>
  /** Numbers over what a query finds, by their names; `null` for a sum over nothing. */
  aggregate(
    what: string,
    query: AggregateQuery<AggregateSpec>,
  ): Promise<Readonly<Record<string, number | null>>>
  /**
   * All or nothing. @throws CodedError `store_unavailable` when it is not known whether it was written, `store_refused`
   * when it was not and never will be
   */
  commit(what: string, fill: (writes: Writes) => void, timeoutMs?: number): Promise<Outcome>
  /** Pages through a query that is ordered by document name or a unique field; memory stays bounded by a page. */
  pages(what: string, query: Query, pageSize: number): AsyncIterable<QuerySnapshot>
  close(): Promise<void>
}

export interface DatabaseOptions {
  project: string
  database: string
  /** `host:port` of the emulator. */
  emulatorHost?: string | undefined
  /** Everything lies under this name instead of at the root: several installations, or tests, in one database. */
  namespace?: string | undefined
  clock: Clock
  random: Random
  meter: Meter
  callTimeoutMs?: number | undefined
}

const CONNECTION = {
  // Google's front ends refuse pings that come more often; a dead connection is noticed after 30 s + 5 s.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 5000,
  // By default the second try comes after a second and later ones up to two minutes apart: longer than any lease.
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 2000,
}
/** How long to wait for the client to end what nobody waits for any more. */
const CLOSE_WITHIN_MS = 2000
const SERVICE = 'google.firestore.v1.Firestore'

const REFUSALS = new Map<number, 'exists' | 'missing' | 'changed'>([
  [GRPC.alreadyExists, 'exists'],
  [GRPC.notFound, 'missing'],
  [GRPC.failedPrecondition, 'changed'],
])

export function openDatabase(options: DatabaseOptions): Database {
  const { clock, random, meter } = options
  const calls = createCalls(clock, options.callTimeoutMs)
  const firestore = createClient(options)
  const watches = new Set<Watch>()
  let closed: Promise<void> | undefined

  async function closeAll(): Promise<void> {
    await Promise.all([...watches].map((watch) => watch.close()))
    // The client throws past every handler when it retries a read after its end, and goes on trying for minutes. So it is
    // ended only when it is quiet; else its connections are left to the end of the process.
    if (await calls.close(CLOSE_WITHIN_MS)) await firestore.terminate()
  }

  async function ask<T>(what: string, work: () => Promise<T>, timeoutMs?: number): Promise<T> {
    try {
      return await calls.within(what, work, timeoutMs)
    } catch (error) {
      throw asStoreError(error, what)
    }
  }

  function fillBatch(what: string, fill: (writes: Writes) => void): Writes {
    try {
      const writes = new Writes(firestore.batch(), what)
      fill(writes)
      return writes
    } catch (error) {
      throw asRefused(error, what)
    }
  }

  const root = options.namespace === undefined ? '' : `namespaces/${options.namespace}/`
  const database: Database = {
    collection: (name) => firestore.collection(`${root}${name}`),
    clock,
    random,
    meter,
    calls,
    watches,
    async get(what, ref, timeoutMs) {
      meter.count('reads', 1, what)
      return ask(what, () => ref.get(), timeoutMs)
    },
    async getAll(what, refs) {
      if (refs.length === 0) return []
      meter.count('reads', refs.length, what)
      return ask(what, () => firestore.getAll(...refs))
    },
    async query(what, query) {
      const answer = await ask(what, () => query.get())
      // An empty answer is billed as one read (docs/facts/google-cloud.md §2.1).
      meter.count('reads', Math.max(answer.size, 1), what)
      return answer
    },
    async aggregate(what, query) {
      // One read for up to a thousand entries of an index: https://cloud.google.com/firestore/pricing, "Aggregation queries".
      meter.count('reads', 1, what)
      return (await ask(what, () => query.get())).data()
    },
    async commit(what, fill, timeoutMs) {
      const writes = fillBatch(what, fill)
      try {
        const results = await calls.within(what, () => writes.batch.commit(), timeoutMs)
        if (writes.sets > 0) meter.count('writes', writes.sets, what)
        if (writes.deletes > 0) meter.count('deletes', writes.deletes, what)
        return { done: true, times: results.map((result) => result.writeTime) }
      } catch (error) {
        const because = REFUSALS.get(codeOf(error) ?? 0)
        if (because === undefined || isMissingDatabase(error)) throw asStoreError(error, what)
        return { done: false, because }
      }
    },
    async *pages(what, query, pageSize) {
      let next: Query | undefined = query
      while (next) {
        const page: QuerySnapshot = await database.query(what, next.limit(pageSize))
        if (page.size > 0) yield page
        const last = page.docs.at(-1)
        next = page.size < pageSize || !last ? undefined : query.startAfter(last)
      }
    },
    close() {
      closed ??= closeAll()
      return closed
    },
  }
  return database
}

function createClient(options: DatabaseOptions): Firestore {
  const timeout = `${(options.callTimeoutMs ?? 10_000) / 1000}s`
  const grpcOptions = {
    ...CONNECTION,
    // Ends each attempt on the wire with our own deadline; the client's is a minute, and five for reads.
    'grpc.service_config': JSON.stringify({
      methodConfig: ['Commit', 'BatchGetDocuments', 'RunQuery'].map((method) => ({
        name: [{ service: SERVICE, method }],
        timeout,
      })),
    }),
  }
  const common = {
    projectId: options.project,
    databaseId: options.database,
    ignoreUndefinedProperties: true,
    grpcOptions,
  }
  if (options.emulatorHost === undefined) return new Firestore(common)
  return new Firestore({
    ...common,
    host: options.emulatorHost,
    ssl: false,
    auth: noCredentials(),
  })
}

/** The caller names the layout, which the comment of each adapter's file describes. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- a cast with a name, so that every read of a layout can be found
export const dataOf = <T>(snapshot: DocumentSnapshot): T | undefined => snapshot.data() as T | undefined

export const timestampOf = (ms: number): Timestamp => Timestamp.fromMillis(ms)

/** Firestore answers a `Buffer` that is a window on a whole network frame; a copy lets go of the rest. */
export const bytesOf = (stored: Uint8Array): Uint8Array => new Uint8Array(stored)
