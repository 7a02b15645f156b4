/** The address of a proxy: how it is written, and what is shown of it. */

/** SOCKS is always asked to look names up itself: a look-up of ours would pass it by. `socks5h` is what curl calls that. */
const SCHEMES = ['http:', 'https:', 'socks5:', 'socks5h:']
const ADDRESS_CHARACTERS_MAX = 2_048
/** One byte says how long each of the two is: RFC 1929 §2. */
const SOCKS_CREDENTIAL_BYTES_MAX = 255
/** Stands for credentials that are stored: they are never shown again. */
const CREDENTIALS = '***'

/** What is wrong with an address, for people; nothing where it can be one. What was given is not repeated. Pure. */
export function proxyTrouble(text: string): string | undefined {
  const url = text.length <= ADDRESS_CHARACTERS_MAX ? URL.parse(text) : null
  if (!url || !SCHEMES.includes(url.protocol) || url.hostname === '')
    return 'must be the address of a proxy that begins with http://, https:// or socks5://'
  if ((url.pathname !== '' && url.pathname !== '/') || url.search !== '' || url.hash !== '')
    return 'must end with its host or port: a proxy has no path'
  const credentials = [url.username, url.password].map(decoded)
  if (credentials.some((part) => part === undefined))
    return 'has credentials with a % that stands for nothing; write it as %25'
  const bytes = credentials.map((part) => Buffer.byteLength(part ?? ''))
  if (url.protocol.startsWith('socks') && bytes.some((count) => count > SOCKS_CREDENTIAL_BYTES_MAX))
    return `has credentials of more than ${SOCKS_CREDENTIAL_BYTES_MAX} bytes, which SOCKS can't send`
  return undefined
}

/** Scheme, host and port; whether there are credentials, but not which. Of an address that `proxyTrouble` lets pass. Pure. */
export function shownProxy(address: string): string {
  const url = new URL(address)
  return `${url.protocol}//${hasCredentials(url) ? `${CREDENTIALS}@` : ''}${url.host}`
}

/** Whether it was copied from what is shown, so that its credentials are those that are stored. Pure. */
export const isShown = (address: string): boolean => new URL(address).username === CREDENTIALS

const hasCredentials = (url: URL): boolean => url.username !== '' || url.password !== ''

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
