import { maskPhone } from '#shared/redact.ts'
import { iso } from '../present/present.ts'
import { isPaired, problemsOf, usable, type Survey } from './survey.ts'

const HEAD = ['SESSION', 'PHASE', 'CREDENTIALS', 'SINCE', 'BACKUPS', 'NEWEST', 'KEPT', 'JOURNAL', 'OWNER']

/** What a person should look at, with telephone numbers masked. */
export const toLookAt = (survey: Survey): readonly string[] => problemsOf(survey).map(maskPhone)

/** For programs: one line of JSON a session. Times are ISO 8601. */
export function surveyLine(survey: Survey): string {
  const { session, phase, credentials, snapshots, head, owner } = survey
  return JSON.stringify({
    tenant: session.tenant,
    id: session.id,
    want: session.want.state,
    phase,
    credentials,
    dataKeys: session.dataKeys.map(({ id }) => id),
    snapshots: snapshots.map(({ id, seq, at, bytes, reason, label, quarantined }) => ({
      id,
      seq,
      at: iso(at),
      bytes,
      reason,
      ...(label === undefined ? {} : { label }),
      ...(quarantined === undefined ? {} : { quarantined }),
    })),
    journal: head ? { seq: head.seq, epoch: head.epoch } : null,
    owner: owner?.runnerId ?? null,
    problems: toLookAt(survey),
  })
}

/** For people: a table, the sums, and what to look at. */
export function surveyTable(surveys: readonly Survey[]): string {
  if (surveys.length === 0) return 'There are no sessions. POST /v1/sessions makes one.'
  const rows = [HEAD, ...surveys.map(rowOf)]
  const widths = HEAD.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  const lines = rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  '))
  const backups = surveys.reduce((sum, { snapshots }) => sum + snapshots.length, 0)
  const paired = surveys.filter(isPaired).length
  const problems = surveys.flatMap((survey) => toLookAt(survey).map((one) => `  ${nameOf(survey)}: ${one}`))
  return [
    ...lines.map((line) => line.trimEnd()),
    '',
    `sessions: ${surveys.length}, with credentials: ${paired}, backups: ${backups}`,
    ...(problems.length === 0 ? ['Nothing needs a person.'] : ['To look at:', ...problems]),
  ].join('\n')
}

const nameOf = ({ session }: Survey): string => `${session.tenant}/${session.id}`
const minuteOf = (ms: number | undefined): string =>
  ms === undefined ? '–' : `${iso(ms).slice(0, 16).replace('T', ' ')}Z`

function rowOf(survey: Survey): readonly string[] {
  const { session, phase, credentials, snapshots, head, owner } = survey
  const good = usable(survey).length
  return [
    nameOf(survey),
    phase,
    credentials,
    minuteOf(isPaired(survey) ? session.status?.authenticatedAt : undefined),
    good === snapshots.length ? `${good}` : `${good} of ${snapshots.length}`,
    minuteOf(snapshots[0]?.at),
    `${snapshots.filter(({ label }) => label !== undefined).length}`,
    head ? `${head.seq} (epoch ${head.epoch})` : '–',
    owner?.runnerId ?? '–',
  ]
}
