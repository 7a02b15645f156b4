import type { SessionKey } from './ids.ts'
import type { Stores } from './store/stores.ts'

/** A file of a job that has ended is kept so long: an export can be fetched for a day. */
const KEEP_MS = 86_400_000

/**
 * Removes the files of imports and exports whose job is over or gone; nobody needs them any more. They are named
 * `{kind}/{folder of the session}/{job}`. Answers whose, and with `dryRun` only that. `spare` is asked about a file without
 * a job: it is stored a moment before its job is.
 * @throws CodedError `store_unavailable`
 */
export async function sweepTransfers(
  { blobs, jobs }: Pick<Stores, 'blobs' | 'jobs'>,
  ask: { nowMs: number; dryRun: boolean; spare?: (name: string) => boolean },
): Promise<readonly SessionKey[]> {
  const names = [...(await blobs.list('imports/')), ...(await blobs.list('exports/'))]
  const swept: SessionKey[] = []
  for (const name of names) {
    const [, tenant = '', session = '', jobId = ''] = name.split('/')
    const key = `${tenant}~${session}` as SessionKey
    const job = await jobs.get(key, jobId)
    const isNeeded = job
      ? job.finishedAt === undefined || ask.nowMs - job.finishedAt < KEEP_MS
      : ask.spare?.(name) === true
    if (isNeeded) continue
    if (!ask.dryRun) await blobs.remove(name)
    swept.push(key)
  }
  return swept
}
