import type { Query, QuerySnapshot } from '@google-cloud/firestore'
import type { Watch } from '../store/watch.ts'
import type { Database } from './database.ts'

/** First wait before subscribing anew, and the longest. Listeners that died for good came back at once or not for long. */
const RETRY_FIRST_MS = 500
const RETRY_MAX_MS = 30_000

/**
 * A listener that never ends by itself. The client resumes a stream that broke or fell silent for two minutes; what it
 * takes for permanent (a withdrawn permission, an index that is being built) ends its listener for good
 * (docs/facts/google-cloud.md §2.3), and then this subscribes anew. `subscribe` is asked for the query each time, with
 * the last snapshot's time if any.
 */
export function listen(
  db: Database,
  what: string,
  subscribe: (lastMs: number | undefined) => Promise<Query>,
  changed: (snapshot: QuerySnapshot) => void,
): Watch {
  let closed = false
  let stop = (): void => {}
  let cancelRetry = (): void => {}
  let lastMs: number | undefined
  let retryMs = RETRY_FIRST_MS

  const again = (): void => {
    stop()
    if (closed) return
    const waitMs = retryMs * (0.5 + db.random.next() / 2)
    retryMs = Math.min(retryMs * 2, RETRY_MAX_MS)
    cancelRetry = db.clock.after(waitMs, () => void start())
  }

  async function start(): Promise<void> {
    try {
      const query = await subscribe(lastMs)
      if (closed) return
      stop = query.onSnapshot(heard, again)
    } catch {
      // Not reachable, or not allowed now: the same answer as to a listener that ended.
      again()
    }
  }

  function heard(snapshot: QuerySnapshot): void {
    if (closed) return
    retryMs = RETRY_FIRST_MS
    lastMs = snapshot.readTime.toMillis()
    const changes = snapshot.docChanges().length
    if (changes > 0) db.meter.count('reads', changes, what)
    changed(snapshot)
  }

  const watch: Watch = {
    close() {
      closed = true
      db.watches.delete(watch)
      cancelRetry()
      stop()
      return Promise.resolve()
    },
  }
  db.watches.add(watch)
  void start()
  return watch
}
