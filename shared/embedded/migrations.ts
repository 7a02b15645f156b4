import type { DatabaseSync } from 'node:sqlite'
import { CodedError } from '../errors.ts'

/**
 * The schema of the two databases, as append-only lists: `PRAGMA user_version` of a file is the number of entries it
 * has been through. An entry is never edited once it was released; what changes is a new entry at the end.
 *
 * Times are milliseconds since 1970. Columns hold what a query sorts or compares by; the rest of a record is `body`, JSON.
 */
export const RECORD_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE tenants (id TEXT PRIMARY KEY, body TEXT NOT NULL);

  CREATE TABLE api_keys (
    sha256 TEXT PRIMARY KEY, tenant TEXT, created_at INTEGER NOT NULL, last_used_at INTEGER, revoked_at INTEGER,
    body TEXT NOT NULL
  );

  -- \`nonces\` are those of the last changes of the want, so that a repeat of one of them changes nothing.
  CREATE TABLE sessions (
    key TEXT PRIMARY KEY, tenant TEXT NOT NULL, id TEXT NOT NULL, generation INTEGER NOT NULL, want TEXT NOT NULL,
    nonces TEXT NOT NULL, status_epoch INTEGER, status TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
  );
  CREATE INDEX sessions_of_tenant ON sessions (tenant, key);

  CREATE TABLE data_keys (
    position INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, id TEXT NOT NULL, wrapped BLOB NOT NULL,
    key_version TEXT NOT NULL, created_at INTEGER NOT NULL, UNIQUE (session, id)
  );

  CREATE TABLE owners (
    key TEXT PRIMARY KEY, runner_id TEXT, epoch INTEGER NOT NULL, since INTEGER NOT NULL, nonce TEXT NOT NULL
  );

  CREATE TABLE runners (id TEXT PRIMARY KEY, beat INTEGER NOT NULL, draining INTEGER NOT NULL, body TEXT NOT NULL);

  CREATE TABLE snapshots (
    session TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, quarantined TEXT,
    body TEXT NOT NULL, PRIMARY KEY (session, id)
  );

  CREATE TABLE events (
    session TEXT NOT NULL, id TEXT NOT NULL, tenant TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (session, id)
  );
  CREATE INDEX events_by_id ON events (id);
  CREATE INDEX events_of_tenant ON events (tenant, id);
  CREATE INDEX events_by_age ON events (at);

  -- \`state\` is the index in OUTBOX_STATES: 0 and 1 are those that still want to be sent.
  CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, id TEXT NOT NULL, state INTEGER NOT NULL,
    created_at INTEGER NOT NULL, body TEXT NOT NULL, UNIQUE (session, id)
  );
  CREATE INDEX outbox_of_session ON outbox (session, position);
  CREATE INDEX outbox_pending ON outbox (session, position) WHERE state < 2;
  CREATE INDEX outbox_by_age ON outbox (created_at);

  -- AUTOINCREMENT: a position is never given twice, also not after the newest row was swept; cursors rest on that.
  CREATE TABLE feed (
    position INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, sender TEXT NOT NULL, id TEXT NOT NULL,
    added_at INTEGER NOT NULL, body TEXT NOT NULL, UNIQUE (session, sender, id)
  );
  CREATE INDEX feed_of_session ON feed (session, position);
  CREATE INDEX feed_by_age ON feed (added_at);

  CREATE TABLE jobs (
    position INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, id TEXT NOT NULL, finished_at INTEGER,
    body TEXT NOT NULL, UNIQUE (session, id)
  );
  CREATE INDEX jobs_open ON jobs (session, position) WHERE finished_at IS NULL;
  CREATE INDEX jobs_by_age ON jobs (finished_at);

  -- What the watches of all processes read; only the newest rows are kept.
  CREATE TABLE changes (rev INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, key TEXT NOT NULL);
  `,
  // The head of the journal at the last release, as JSON.
  'ALTER TABLE owners ADD COLUMN witness TEXT',
  `
  -- Lives: \`sessions.key\` and \`data_keys.session\` are the name, which has one record, and \`life\` says whose it is. In
  -- all other tables the key of a session ends in its life; what was made before has none, and stays as it is.
  ALTER TABLE sessions ADD COLUMN life TEXT;

  CREATE TABLE removals (
    key TEXT PRIMARY KEY, tenant TEXT NOT NULL, open INTEGER NOT NULL, until INTEGER, hidden INTEGER NOT NULL,
    body TEXT NOT NULL
  );
  CREATE INDEX removals_of_tenant ON removals (tenant, key);
  CREATE INDEX removals_open ON removals (key) WHERE open = 1;
  CREATE INDEX removals_due ON removals (until) WHERE until IS NOT NULL;

  CREATE TABLE backups (
    tenant TEXT NOT NULL, id TEXT NOT NULL, expires_at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant, id)
  );
  CREATE INDEX backups_due ON backups (expires_at);
  `,
  `
  -- For counting a tenant's keys, and for finding whether an id is taken, without reading them all.
  CREATE INDEX api_keys_of_tenant ON api_keys (tenant, revoked_at);
  CREATE INDEX api_keys_by_id ON api_keys (json_extract(body, '$.id'));
  `,
  `
  -- What is sealed of a message stands beside its body. \`state\` is as before: below 2 is what waits. What was accepted
  -- before has its text in the body, and other words for the states beyond.
  ALTER TABLE outbox ADD COLUMN request BLOB;
  ALTER TABLE outbox ADD COLUMN prepared BLOB;
  `,
  // What all runners share beside their sessions, a row each.
  'CREATE TABLE fleet (name TEXT PRIMARY KEY, body TEXT NOT NULL)',
]

export const JOURNAL_MIGRATIONS: readonly string[] = [
  `
  -- A table by rowid: the entries of all sessions that share a commit land on the same page at the end, and only the
  -- slim index is written in many places.
  CREATE TABLE journal (
    position INTEGER PRIMARY KEY, session TEXT NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL,
    nonce TEXT NOT NULL, sealed BLOB NOT NULL
  );
  CREATE UNIQUE INDEX journal_by_seq ON journal (session, seq);
  `,
]

/**
 * Brings a database up to date, inside the caller's transaction.
 * @throws CodedError `config` when a newer version of Mooring wrote it
 */
export function migrate(database: DatabaseSync, path: string, migrations: readonly string[]): void {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  if (version > migrations.length) {
    const message = `${path} was written by a newer version of Mooring (schema ${version}, this one knows ${migrations.length})`
    throw new CodedError('config', message)
  }
  for (const migration of migrations.slice(version)) database.exec(migration)
  database.exec(`PRAGMA user_version = ${migrations.length}`)
}
