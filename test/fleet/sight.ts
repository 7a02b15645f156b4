import { eventually } from '#test/e2e/eventually.ts'
import type { World } from '#test/e2e/world.ts'
import type { Fleet, RunnerProcess, RunnerSeen } from './fleet.ts'

/** What can be seen of a fleet from outside: by the stand-in, and by the API. */
export function sightOf(world: World, fleet: Fleet) {
  const seen = async ({ id }: RunnerProcess): Promise<RunnerSeen | undefined> =>
    (await fleet.runners()).find((runner) => runner.id === id)

  return {
    /** How often each device logged in since the report was last set back. */
    logins: async (): Promise<number[]> => {
      const { devices } = await world.whatsapp.report()
      return fleet.linked.map(({ jid }) => devices[jid]?.logins ?? 0)
    },
    /** How many devices are connected now. */
    open: async (): Promise<number> => {
      const { devices } = await world.whatsapp.report()
      return fleet.linked.filter(({ jid }) => (devices[jid]?.open ?? 0) > 0).length
    },
    /** The kinds of events there are; of a change of phase, with the phase. */
    kinds: async (): Promise<Set<string>> => {
      const events = await Promise.all(fleet.linked.map(({ session }) => fleet.api.events(session)))
      return new Set(events.flat().map(({ kind, to }) => (kind === 'phase' ? `phase ${to}` : kind)))
    },
    /** Waits until GET /v1/runners shows the runner like this. */
    shown: (runner: RunnerProcess, fits: (now: RunnerSeen) => boolean): Promise<RunnerSeen> =>
      eventually(
        `GET /v1/runners to show ${runner.id} as it is`,
        () => seen(runner),
        (now) => now && fits(now),
      ),
    /** Waits until the runner has renewed once more, and so knows that it is well. */
    renewal: async (runner: RunnerProcess): Promise<void> => {
      const before = await seen(runner)
      await eventually(
        'the runner to renew its lease',
        () => seen(runner),
        (now) => now?.alive && now.renewedAt !== before?.renewedAt,
      )
    },
  }
}
