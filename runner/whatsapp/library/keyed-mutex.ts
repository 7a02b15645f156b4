/** One after the other for each key, as rc14 does it for itself; not part of what it exports. */
export { makeKeyedMutex } from '@whiskeysockets/baileys/lib/Utils/make-mutex.js'
