import { join } from 'node:path'
import { systemClock } from '#shared/clock.ts'
import { openEmbeddedStores } from '#shared/embedded/open.ts'
import { parseRunnerId, parseSessionId, parseTenantId, sessionKey } from '#shared/ids.ts'
import { createLog } from '#shared/log.ts'
import { systemRandom } from '#shared/random.ts'
import { unseenStatus } from '#shared/session.ts'
import type { Stores } from '#shared/store/stores.ts'
import { dataKeys } from '#runner/state/data-keys.ts'
import type { Change } from '#runner/state/pending-changes.ts'
import { CREDS_KEY, encodeValue, recordKey } from '#runner/state/record.ts'
import { SessionState } from '#runner/state/session-state.ts'
import { fileWorkingCopies } from '#runner/state/working-copy.ts'
import { revive } from '../whatsapp/client.ts'
import type { SeededSession } from '../whatsapp/seed.ts'

export const TENANT = 'bench'

/** A data directory in which these sessions are paired and wanted running, as a runner leaves them at a clean end. */
export async function prepareDataDir(dataDir: string, seeded: readonly SeededSession[]): Promise<void> {
  const stores = await openEmbeddedStores({ dataDir, clock: systemClock, random: systemRandom })
  try {
    await prepareStores(stores, seeded, join(dataDir, 'work-of-preparation'))
  } finally {
    await stores.close()
  }
}

/**
 * The same into any set of stores. Sessions are named `s0`, `s1` … in the order given, and were paired `pairedAgoMs` ago.
 */
export async function prepareStores(
  stores: Stores,
  seeded: readonly SeededSession[],
  workDir: string,
  options: { tenant?: string; pairedAgoMs?: number } = {},
): Promise<void> {
  const log = createLog({ level: 'silent', pretty: false, service: 'bench', version: '0' })
  const clock = systemClock
  const random = systemRandom
  const tenant = parseTenantId(options.tenant ?? TENANT)
  const runnerId = parseRunnerId('preparation')
  const workingCopies = fileWorkingCopies(workDir, log)
  const keys = dataKeys({ stores, clock, random })
  const soon = (task: () => void): void => void setImmediate(task)
  if (!(await stores.tenants.get(tenant))) {
    await stores.tenants.create({
      id: tenant,
      name: 'Bench',
      limits: { sessions: 100_000 },
      createdAt: clock.nowMs(),
    })
  }
  for (const [at, one] of seeded.entries()) {
    const id = parseSessionId(`s${at}`)
    const key = sessionKey(tenant, id)
    const nowMs = clock.nowMs()
    const session = await stores.sessions.create({
      tenant,
      id,
      want: { state: 'running', metadata: {} },
      createdAt: nowMs,
    })
    const owner = await stores.owners.claim({ key, runnerId, expectEpoch: 0, nonce: random.id(), nowMs })
    const state = await SessionState.open(
      { stores, dataKeys: keys, workingCopies, clock, random, log, soon },
      session,
      key,
      owner,
    )
    const { creds, keys: values } = revive(one)
    const changes: Change[] = [[CREDS_KEY, encodeValue(creds)]]
    for (const [type, ids] of Object.entries(values)) {
      for (const [name, value] of Object.entries(ids ?? {}))
        changes.push([recordKey(type, name), encodeValue(value)])
    }
    await state.journal.set(changes)
    const record = await state.snapshot('prepared', { clean: true })
    const status = {
      ...unseenStatus(owner.epoch),
      phase: 'connected' as const,
      observedGeneration: 1,
      authenticatedAt: nowMs - (options.pairedAgoMs ?? 0),
      jid: creds.me?.id ?? '',
      phone: one.phone,
      snapshot: { seq: record.seq, at: record.at, bytes: record.bytes },
    }
    await stores.sessions.reportStatus(key, status, nowMs)
    await stores.owners.release({ key, runnerId, epoch: owner.epoch, nonce: random.id(), nowMs })
  }
  await workingCopies.settle()
}
