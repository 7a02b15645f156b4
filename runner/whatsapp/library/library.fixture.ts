import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { initAuthCreds, makeWASocket, type WASocket } from '@whiskeysockets/baileys'
import { memoryKeys } from '../signal.fixture.ts'
import { baileysLog } from './baileys-log.ts'

/** For tests: the installed libraries themselves, as text and as a connection, and what they do not export. */

export { SenderKeyRecord } from '@whiskeysockets/baileys/lib/Signal/Group/sender-key-record.js'

const read = (url: string): string => readFileSync(fileURLToPath(url), 'utf8')
const BAILEYS = import.meta.resolve('@whiskeysockets/baileys')
const LIBSIGNAL = import.meta.resolve('libsignal')

const count = (text: string, what: string | RegExp): number => text.split(what).length - 1

/** How often a file of Baileys' `lib/` says this. A file that is gone throws, which is an answer too. */
export const saysBaileys = (path: string, what: string | RegExp): number => count(sourceOf(path), what)
/** The same of libsignal's `src/`. */
export const saysLibsignal = (path: string, what: string): number =>
  count(read(new URL(`src/${path}`, LIBSIGNAL).href), what)

const sourceOf = (path: string): string => read(new URL(path, BAILEYS).href)
/** The text of every file of Baileys. */
export const allSources = (): string[] =>
  globSync('**/*.js', { cwd: fileURLToPath(new URL('.', BAILEYS)) }).map(sourceOf)

const versionIn = (manifest: string): string => (JSON.parse(manifest) as { version: string }).version
export const installed = {
  '@whiskeysockets/baileys': versionIn(read(new URL('../package.json', BAILEYS).href)),
  libsignal: versionIn(read(new URL('package.json', LIBSIGNAL).href)),
}

/** A connection of the library as it is, with an account that was never paired. Ends with the `using` block. */
export function stockSocket(url: string): { sock: WASocket } & AsyncDisposable {
  const sock = makeWASocket({
    auth: { creds: initAuthCreds(), keys: memoryKeys() },
    logger: baileysLog(undefined),
    waWebSocketUrl: url,
  })
  return {
    sock,
    async [Symbol.asyncDispose]() {
      await sock.end(new Error('the test is over'))
    },
  }
}
