import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { makeWASocket, useMultiFileAuthState } from '@whiskeysockets/baileys'
import pino from 'pino'

/*
 * What Baileys takes by itself: one socket for each folder of `useMultiFileAuthState` in a directory, all in this process
 * and nothing else, with the library's own settings. `node test/bench/bare-sockets.ts <url> <dir>`
 */

const [url = '', dir = ''] = process.argv.slice(2)
const logger = pino({ level: 'silent' })

async function open(folder: string): Promise<void> {
  const { state } = await useMultiFileAuthState(folder)
  const sock = makeWASocket({ auth: state, logger, waWebSocketUrl: url, markOnlineOnConnect: false })
  await new Promise<void>((resolve, reject) => {
    sock.ev.on('connection.update', ({ connection, lastDisconnect }) => {
      if (connection === 'open') resolve()
      if (connection === 'close') reject(lastDisconnect?.error ?? new Error('a bare socket was closed'))
    })
  })
}

const folders = await readdir(dir)
for (const folder of folders) await open(join(dir, folder))
process.stdout.write(`${JSON.stringify({ message: 'sockets open', count: folders.length })}\n`)
// Without a socket nothing else would keep the process alive until it was measured.
setInterval(() => undefined, 60_000)
