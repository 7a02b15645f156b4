import type { Config } from '#shared/config.ts'
import type { GuardedConnector } from './guarded-connector.ts'

/** The guarded connector of a process, loaded when the first address is judged: most never name one. */
export function lazyGuard(
  config: Pick<Config, 'MOORING_ALLOW_PRIVATE_ADDRESSES'>,
): Pick<GuardedConnector, 'judge'> {
  const allowPrivate = config.MOORING_ALLOW_PRIVATE_ADDRESSES
  let loaded: Promise<GuardedConnector> | undefined
  return {
    async judge(address, use) {
      loaded ??= import('./guarded-connector.ts').then(({ guardedConnector }) =>
        guardedConnector({ allowPrivate }),
      )
      return (await loaded).judge(address, use)
    },
  }
}
