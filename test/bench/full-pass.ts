import { systemClock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { systemRandom } from '#shared/random.ts'
import { View } from '#runner/loop/view.ts'
import { cpuOf, fillWithNothingToDo, fullPassCpuMs } from '../simulation/full-pass.ts'
import { withTempDir } from './processes.ts'
import { median, type Figure } from './report.ts'

const ROUNDS = 5

/** What the runner itself needs for a full pass with nothing to do, and what reading everything from the embedded stores adds. */
export async function benchFullPass(sessions: number): Promise<readonly Figure[]> {
  const pass = await fullPassCpuMs(sessions)
  const readMs = await withTempDir((dataDir) => readingCpuMs(dataDir, sessions))
  const count = sessions.toLocaleString('en')
  return [
    {
      name: `full pass over ${count} sessions with nothing to do`,
      value: `${(pass.cpuMs + readMs).toFixed(0)} ms of CPU`,
      goal: '< 250 ms of CPU',
      note: `${pass.cpuMs.toFixed(0)} ms the runner, ${readMs.toFixed(0)} ms reading them from the embedded stores; heap grew by ${(pass.heapGrowthBytes / 1024 / 1024).toFixed(1)} MiB in five passes`,
    },
  ]
}

async function readingCpuMs(dataDir: string, sessions: number): Promise<number> {
  const stores = await openEmbeddedStores({ dataDir, clock: systemClock, random: systemRandom })
  try {
    await fillWithNothingToDo(stores, sessions)
    const view = new View(stores, systemClock)
    const times: number[] = []
    for (let round = 0; round < ROUNDS; round++)
      times.push(
        await cpuOf(async () => {
          await view.load()
        }),
      )
    return median(times)
  } finally {
    await stores.close()
  }
}
