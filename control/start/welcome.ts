import type { BootstrapKey } from './bootstrap-key.ts'

/**
 * What to do next, for whoever started it by hand. On a terminal it says how to use the key; in a log the key itself stays
 * out, since logs are kept and shared.
 */
export function welcome(at: { port: number; key: BootstrapKey; pretty: boolean }): void {
  const { port, key, pretty } = at
  if (!pretty) return
  const url = `http://127.0.0.1:${port}`
  const shown = key.from === 'made' ? key.text : '$KEY'
  const where = key.from === 'setting' ? 'MOORING_ADMIN_KEY' : `the file ${key.path}`
  const lines = [
    '',
    `  Mooring is up at ${url}  (API reference: ${url}/docs)`,
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
    `    curl -s -H "X-API-Key: $KEY" '${url}/v1/sessions/shop/qr?tenant=acme&format=text'`,
    '',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}
