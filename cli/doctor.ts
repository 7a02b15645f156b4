import { createFleet } from '#control/report/fleet.ts'
import { fleetVersionText } from '#control/report/fleet-version.ts'
import { surveySessions, type Survey } from '#control/report/survey.ts'
import { surveyLine, surveyTable, toLookAt } from '#control/report/survey-text.ts'
import { systemClock } from '#shared/clock.ts'
import { readConfig } from '#shared/config.ts'
import { hasEmbeddedStores } from '#shared/embedded/open.ts'
import { CodedError } from '#shared/errors.ts'
import { parseTenantId } from '#shared/ids.ts'
import { openStores } from '#shared/open-stores.ts'
import { systemRandom } from '#shared/random.ts'

export interface DoctorOptions {
  tenant?: string | undefined
  /** A line of JSON a session instead of a table. */
  json: boolean
}

/**
 * Shows of every session whether it has credentials, which backups, and which records (C6). Reads the stores that the
 * settings name, opens nothing and changes nothing; a Mooring that runs on them is not disturbed. Answers the exit code: 1
 * when there is something that a person should look at. @throws CodedError `config`, `invalid_field`, `store_unavailable`
 */
export async function doctor(options: DoctorOptions, write: (line: string) => void): Promise<number> {
  // It needs no secret of control's: it reads what a runner reads, less the keys.
  const config = readConfig({ ...process.env, MOORING_ROLE: 'runner' })
  const { MOORING_STORE: store, MOORING_DATA_DIR: dataDir } = config
  if (store === 'embedded' && !hasEmbeddedStores(dataDir))
    throw new CodedError('config', `MOORING_DATA_DIR: nothing was ever stored in ${dataDir}`)
  const tenant = options.tenant === undefined ? undefined : parseTenantId(options.tenant)
  const stores = await openStores(config, { clock: systemClock, random: systemRandom })
  try {
    await stores.check('records')
    const surveys: Survey[] = []
    let isWell = true
    for await (const survey of surveySessions(stores, createFleet(stores, systemClock), tenant)) {
      isWell &&= toLookAt(survey).length === 0
      if (options.json) write(surveyLine(survey))
      else surveys.push(survey)
    }
    if (!options.json) write(surveyTable(surveys))
    const version = fleetVersionText(await stores.fleet.version(), systemClock.nowMs())
    isWell &&= version?.problem === undefined
    // Of a fleet without sessions it matters to nobody.
    if (version && options.json) write(JSON.stringify({ fleet: version }))
    else if (version && (surveys.length > 0 || version.problem !== undefined))
      write([version.says, ...(version.problem ? [`To look at: ${version.problem}`] : [])].join('\n'))
    return isWell ? 0 : 1
  } finally {
    await stores.close()
  }
}
