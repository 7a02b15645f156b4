/**
 * Everything the queries of these adapters need beyond the order of document names, in the format of
 * `firestore.indexes.json`, which infra applies. The emulator does not ask for indexes, so this list is checked against
 * the queries by a test.
 *
 * All automatic indexes are switched off (`*`): each would be written with every document, and those over times and
 * counters would hold a collection to some 500 writes a second (docs/facts/google-cloud.md §2.1).
 */
type Order = 'ASCENDING' | 'DESCENDING'

export interface CompositeIndex {
  collectionGroup: string
  queryScope: 'COLLECTION'
  fields: { fieldPath: string; order: Order }[]
}

export interface FieldOverride {
  collectionGroup: string
  fieldPath: string
  ttl?: true
  indexes: { order: Order; queryScope: 'COLLECTION' }[]
}

/** `-name` descends. */
function composite(collectionGroup: string, ...names: string[]): CompositeIndex {
  const fields = names.map((name) =>
    name.startsWith('-')
      ? { fieldPath: name.slice(1), order: 'DESCENDING' as const }
      : { fieldPath: name, order: 'ASCENDING' as const },
  )
  return { collectionGroup, queryScope: 'COLLECTION', fields }
}

const ASCENDING = [{ order: 'ASCENDING' as const, queryScope: 'COLLECTION' as const }]
const single = (collectionGroup: string, fieldPath: string): FieldOverride => ({
  collectionGroup,
  fieldPath,
  indexes: ASCENDING,
})
const expiring = (collectionGroup: string): FieldOverride => ({
  collectionGroup,
  fieldPath: 'expireAt',
  ttl: true,
  indexes: [],
})

export const COLLECTIONS = [
  'apiKeyIds',
  'apiKeys',
  'backups',
  'events',
  'feed',
  'feedHeads',
  'fleet',
  'jobs',
  'journal',
  'journalParts',
  'outbox',
  'owners',
  'removals',
  'runners',
  'sessions',
  'signals',
  'snapshots',
  'tenants',
] as const

export const INDEXES: { indexes: CompositeIndex[]; fieldOverrides: FieldOverride[] } = {
  indexes: [
    composite('events', 'key', '-id'),
    composite('events', 'tenant', 'id'),
    composite('events', 'shard', 'at'),
    composite('feed', 'key', 'cursor'),
    composite('feed', 'shard', 'addedAt'),
    composite('jobs', 'key', 'open', 'accepted', 'turn'),
    composite('jobs', 'shard', 'finishedAt'),
    composite('outbox', 'key', '-accepted', '-turn'),
    composite('outbox', 'key', 'open', 'accepted', 'turn'),
    composite('outbox', 'shard', 'createdAt'),
    composite('outbox', 'tenant', 'open', 'bytes'),
  ],
  fieldOverrides: [
    ...COLLECTIONS.map((collectionGroup) => ({ collectionGroup, fieldPath: '*', indexes: [] })),
    single('apiKeys', 'tenant'),
    single('backups', 'expiresAt'),
    single('events', 'id'),
    single('jobs', 'open'),
    { ...single('journal', 'seq'), indexes: [{ order: 'DESCENDING', queryScope: 'COLLECTION' }] },
    single('outbox', 'queued'),
    single('removals', 'open'),
    single('removals', 'until'),
    single('signals', 'at'),
    expiring('events'),
    expiring('feedHeads'),
    expiring('signals'),
  ],
}
