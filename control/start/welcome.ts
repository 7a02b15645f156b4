import type { BootstrapKey } from './bootstrap-key.ts'

/** Addresses that mean every interface of this machine, and no place that one could go to. */
const ANYWHERE: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }

interface At {
  host: string
  port: number
  key: BootstrapKey
  /** Whether a person sits at it. */
  pretty: boolean
}

/**
 * What to do next, for whoever started it by hand. On a terminal it says how to use the key. Elsewhere standard output is the
 * log, which says nothing of the key; but one that was made a moment ago, because nobody set one, goes to standard error, once:
 * a container has no shell to read its file with.
 */
export function welcome(at: At): void {
  if (at.pretty) process.stdout.write(`${greeting(at).join('\n')}\n`)
  else if (at.key.from === 'made')
    process.stderr.write(`mooring: admin key, shown this once and kept in ${at.key.path}: ${at.key.text}\n`)
}

/** What a person at a terminal reads. A test pastes the commands in it. */
export function greeting({ host, port, key }: At): readonly string[] {
  const anywhere = ANYWHERE[host]
  const url = `http://${anywhere ?? (host.includes(':') ? `[${host}]` : host)}:${port}`
  const shown = key.from === 'made' ? key.text : '$KEY'
  const where = key.from === 'setting' ? 'MOORING_ADMIN_KEY' : `the file ${key.path}`
  return [
    '',
    `  Mooring is up at ${url}  (API reference: ${url}/docs)`,
    ...(anywhere === undefined
      ? []
      : [`  It listens on every address of this machine (MOORING_HOST=${host}), without TLS.`]),
    key.from === 'made'
      ? `  Admin key, shown this once and kept in ${where}:  ${key.text}`
      : `  The admin key is in ${where}.`,
    '',
    '  Next: a tenant, a session, and its QR in this terminal',
    ...(key.from === 'made'
      ? [`    KEY=${shown}`]
      : key.from === 'file'
        ? [`    KEY=$(cat ${key.path})`]
        : ['    KEY=$MOORING_ADMIN_KEY']),
    `    curl -s -H "X-API-Key: $KEY" -d '{"id":"acme","name":"Acme"}' -H content-type:application/json ${url}/v1/tenants`,
    `    curl -s -H "X-API-Key: $KEY" -d '{"id":"shop"}' -H content-type:application/json '${url}/v1/sessions?tenant=acme'`,
    `    curl -s -H "X-API-Key: $KEY" -d '{"method":"qr"}' -H content-type:application/json '${url}/v1/sessions/shop/pairing?tenant=acme'`,
    `    curl -s -H "X-API-Key: $KEY" '${url}/v1/sessions/shop/qr?tenant=acme&format=text&wait=30'`,
    '',
  ]
}
