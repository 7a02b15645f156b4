import type { FleetStore, FleetVersion } from '../store/fleet-store.ts'
import { toBody } from './body.ts'
import type { SqliteFile } from './sqlite-file.ts'

const VERSION = 'version'

/** What the fleet shares, a row a name in the table `fleet`. */
export function sqliteFleetStore(file: SqliteFile): FleetStore {
  const find = (): FleetVersion | undefined => {
    const row = file.get<{ body: string }>('SELECT body FROM fleet WHERE name = ?', VERSION)
    return row && (JSON.parse(row.body) as FleetVersion)
  }
  return {
    version: () => file.read('read the version of the fleet', find),
    changeVersion: (change) =>
      file.write('change the version of the fleet', () => {
        const stored = find()
        const next = change(stored)
        if (!next) return stored
        const body = toBody('change the version of the fleet', 'version', next)
        file.run('INSERT OR REPLACE INTO fleet (name, body) VALUES (?, ?)', VERSION, body)
        return next
      }),
  }
}
