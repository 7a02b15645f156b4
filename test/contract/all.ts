import { expect } from 'vitest'
import { apiKeyStoreContract } from './api-key-store.ts'
import { backupStoreContract } from './backup-store.ts'
import { blobStoreContract } from './blob-store.ts'
import { eventStoreContract } from './event-store.ts'
import { feedStoreContract } from './feed-store.ts'
import { fleetStoreContract } from './fleet-store.ts'
import { jobStoreContract } from './job-store.ts'
import { journalStoreContract } from './journal-store.ts'
import { keyWrapperContract } from './key-wrapper.ts'
import { outboxStoreContract } from './outbox-store.ts'
import { ownerStoreContract } from './owner-store.ts'
import { contract, type ContractOptions, type Make } from './promises.ts'
import { deliveryContract } from './delivery.ts'
import { refusalContract } from './refusals.ts'
import { removalStoreContract } from './removal-store.ts'
import { runnerStoreContract } from './runner-store.ts'
import { keyOf } from './samples.ts'
import { sessionLivesContract } from './session-lives.ts'
import { sessionStoreContract } from './session-store.ts'
import { sessionWantStatusContract } from './session-want-status.ts'
import { snapshotStoreContract } from './snapshot-store.ts'
import { tenantStoreContract } from './tenant-store.ts'

/** The promises of the set as a whole. */
function storesContract(make: Make, options: ContractOptions = {}): void {
  contract('Stores', make, options, (promise) => {
    promise('finds nothing wrong with itself', async ({ stores }) => {
      await stores.check()
    })

    promise('closes twice without harm, and answers store_unavailable from then on', async ({ stores }) => {
      await Promise.all([stores.close(), stores.close()])
      await stores.close()
      const gone = { code: 'store_unavailable' }
      await expect(stores.tenants.list()).rejects.toMatchObject(gone)
      const append = stores.journal.append(keyOf('t', 's'), {
        seq: 1,
        epoch: 1,
        nonce: 'n',
        sealed: new Uint8Array(),
      })
      await expect(append).rejects.toMatchObject(gone)
    })
  })
}

const CONTRACTS = {
  stores: storesContract,
  tenants: tenantStoreContract,
  apiKeys: apiKeyStoreContract,
  sessions: sessionStoreContract,
  sessionWants: sessionWantStatusContract,
  sessionLives: sessionLivesContract,
  owners: ownerStoreContract,
  runners: runnerStoreContract,
  journal: journalStoreContract,
  snapshots: snapshotStoreContract,
  blobs: blobStoreContract,
  events: eventStoreContract,
  outbox: outboxStoreContract,
  feed: feedStoreContract,
  jobs: jobStoreContract,
  removals: removalStoreContract,
  backups: backupStoreContract,
  fleet: fleetStoreContract,
  keys: keyWrapperContract,
  refusals: refusalContract,
  delivery: deliveryContract,
}

/** Runs every contract over one set of stores; `skip` is by the names above. */
export function allContracts(
  make: Make,
  skip: Partial<Record<keyof typeof CONTRACTS, Readonly<Record<string, string>>>> = {},
): void {
  for (const [port, run] of Object.entries(CONTRACTS)) {
    run(make, { skip: skip[port as keyof typeof CONTRACTS] ?? {} })
  }
}
