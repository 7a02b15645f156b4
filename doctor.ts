import { existsSync } from 'node:fs'
import { hasCredentials, problemsOf, surveySessions, usable, type Survey } from '#control/survey.ts'
import { systemClock } from '#shared/clock.ts'
import { readConfig } from '#shared/config.ts'
import { CodedError } from '#shared/errors.ts'
import { openStores } from '#shared/open-stores.ts'
import { systemRandom } from '#shared/random.ts'
import { maskPhone } from '#shared/redact.ts'

export interface DoctorWish {
  tenant?: string | undefined
  /** A line of JSON a session instead of a table. */
  json: boolean
}

const HEAD = [
  'SESSION',
  'PHASE',
  'CREDENTIALS SINCE',
  'BACKUPS',
  'NEWEST',
  'KEPT',
  'JOURNAL',
  'OWNER',
] as const

/**
 * Shows of every session whether it has credentials, which backups, and which records (C6). Reads the stores that the
 * settings name, opens nothing and changes nothing; a Mooring that runs on them is not disturbed. Answers the exit code: 1
 * when there is something that a person should look at.
 */
export async function doctor(wish: DoctorWish, write: (text: string) => void): Promise<number> {
  // It needs no secret of control's: it reads what a runner reads, less the keys.
  const config = readConfig({ ...process.env, MOORING_ROLE: 'runner' })
  const { MOORING_STORE: store, MOORING_DATA_DIR: dataDir } = config
  if (store === 'embedded' && !existsSync(dataDir))
    throw new CodedError('config', `MOORING_DATA_DIR: there is no ${dataDir}; nothing was ever stored here`)
  const stores = await openStores(config, { clock: systemClock, random: systemRandom })
  try {
    await stores.check('records')
    const rows: (readonly string[])[] = [HEAD]
    const problems: string[] = []
    const counts = { sessions: 0, paired: 0, backups: 0 }
    for await (const survey of surveySessions(stores, wish.tenant)) {
      const found = problemsOf(survey).map(maskPhone)
      counts.sessions++
      if (hasCredentials(survey.session)) counts.paired++
      counts.backups += survey.snapshots.length
      problems.push(...found.map((problem) => `${nameOf(survey)}: ${problem}`))
      if (wish.json) write(`${JSON.stringify({ ...plain(survey), problems: found })}\n`)
      else rows.push(rowOf(survey))
    }
    if (!wish.json) write(report(rows, problems, counts))
    return problems.length === 0 ? 0 : 1
  } finally {
    await stores.close()
  }
}

const nameOf = ({ session }: Survey): string => `${session.tenant}/${session.id}`
const time = (ms: number | undefined): string =>
  ms === undefined ? '–' : `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')}Z`

const rowOf = (survey: Survey): readonly string[] => {
  const { session, snapshots, head, owner } = survey
  const good = usable(survey).length
  return [
    nameOf(survey),
    session.status?.phase ?? 'pending',
    hasCredentials(session) ? time(session.status?.authenticatedAt) : 'none',
    good === snapshots.length ? `${good}` : `${good} of ${snapshots.length}`,
    time(snapshots[0]?.at),
    `${snapshots.filter(({ label }) => label !== undefined).length}`,
    head ? `${head.seq} (epoch ${head.epoch})` : '–',
    owner?.runnerId ?? '–',
  ]
}

/** For programs. Times are ISO 8601. */
const plain = ({ session, snapshots, head, owner }: Survey): object => ({
  tenant: session.tenant,
  id: session.id,
  want: session.want.state,
  phase: session.status?.phase ?? 'pending',
  hasCredentials: hasCredentials(session),
  dataKeys: session.dataKeys.map(({ id }) => id),
  snapshots: snapshots.map(({ id, seq, at, bytes, reason, label, quarantined }) => ({
    id,
    seq,
    at: new Date(at).toISOString(),
    bytes,
    reason,
    ...(label === undefined ? {} : { label }),
    ...(quarantined === undefined ? {} : { quarantined }),
  })),
  journal: head ? { seq: head.seq, epoch: head.epoch } : null,
  owner: owner?.runnerId ?? null,
})

function report(
  rows: readonly (readonly string[])[],
  problems: readonly string[],
  counts: { sessions: number; paired: number; backups: number },
): string {
  const { sessions, paired, backups } = counts
  if (sessions === 0) return 'There are no sessions. POST /v1/sessions makes one.\n'
  const widths = HEAD.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  const table = rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  const sum = `${sessions} session${sessions === 1 ? '' : 's'}, ${paired} with credentials, ${backups} backup${backups === 1 ? '' : 's'}.`
  const verdict =
    problems.length === 0
      ? 'Nothing needs a person.'
      : `To look at:\n${problems.map((one) => `  ${one}`).join('\n')}`
  return `${table.join('\n')}\n\n${sum} ${verdict}\n`
}
