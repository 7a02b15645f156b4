#!/usr/bin/env node
import { readdir, rm } from 'node:fs/promises'
import { Command } from 'commander'
import QRCode from 'qrcode'
import { systemClock } from '#shared/clock.ts'
import { eventually } from './e2e/eventually.ts'
import { install, type Installation } from './e2e/installation.ts'
import { connected, textsIn } from './e2e/people.ts'
import { startWhatsApp, type WhatsAppProcess } from './e2e/whatsapp-process.ts'

const program = new Command('demo')
  .description(
    'Shows what Mooring is for, on this machine and without a network: a session is paired, its process is killed, its ' +
      'disk is wiped, and it comes back without a QR.',
  )
  .option('--wipe-data', 'also wipe the data directory, to see what it looks like when a promise is broken')
  .addHelpText('after', '\nExit code 0 when everything was as promised, 1 when it was not.')
  .parse()
const { wipeData = false } = program.opts<{ wipeData?: boolean }>()

const SHOP = '4915112345678'
const ADA = '4915187654321'
const startMs = systemClock.monotonicMs()

function say(text: string): void {
  const seconds = ((systemClock.monotonicMs() - startMs) / 1000).toFixed(1)
  process.stdout.write(`${seconds.padStart(6)} s  ${text}\n`)
}

function demand(promise: string, kept: boolean): void {
  if (!kept) throw new Error(`not as promised: ${promise}`)
}

async function show(whatsapp: WhatsAppProcess, installation: Installation): Promise<void> {
  const phones = whatsapp.admin
  await phones.phone(SHOP, 'The shop')
  await phones.phone(ADA, 'Ada')
  const readsAda = (text: string): Promise<unknown> =>
    eventually(`Ada to read "${text}"`, async () =>
      (await phones.messages(ADA)).some((message) => message.text === text),
    )

  const first = await installation.start()
  say(`Mooring runs as process ${first.child.pid} at http://127.0.0.1:${first.port}`)
  say(`  its store is ${installation.dataDir}, its working directory ${installation.workDir}`)

  await first.api.create('shop')
  await first.api.openPairing('shop')
  const { qr } = await eventually('the QR', () => first.api.qr('shop'))
  say('the session "shop" shows its QR:')
  process.stdout.write(`${await QRCode.toString(qr, { type: 'utf8', errorCorrectionLevel: 'L' })}\n`)
  const { jid } = await phones.scan(SHOP, qr)
  await connected(first.api, 'shop', ({ status }) => status.jid === jid)
  say(`the phone of the shop has scanned it; the session is connected as ${jid}`)

  await first.api.send('shop', ADA, 'Good morning, Ada')
  await readsAda('Good morning, Ada')
  say('"Good morning, Ada" went out, and Ada reads it on her phone')
  await phones.send(ADA, { to: SHOP, text: 'Good morning, shop' })
  await eventually('her answer', async () =>
    (await textsIn(first.api, 'shop')).includes('Good morning, shop'),
  )
  say('"Good morning, shop" came back, and is in the feed of the session')

  await first.kill()
  say(`process ${first.child.pid} was killed with SIGKILL`)
  const files = await readdir(installation.workDir)
  await installation.wipeWorkDir()
  say(`its working directory was wiped, ${files.length === 1 ? 'a file' : `${files.length} files`} with it`)
  if (wipeData) {
    await rm(installation.dataDir, { recursive: true })
    say('its store was wiped too')
  }
  await phones.send(ADA, { to: SHOP, text: 'Are you still there?' })
  say('meanwhile Ada writes "Are you still there?"')

  const restartMs = systemClock.monotonicMs()
  const second = await installation.start()
  say(`Mooring runs again, as process ${second.child.pid}`)
  const back = await second.api.get('shop').catch(() => undefined)
  demand('the session is remembered', back !== undefined)
  await connected(second.api, 'shop', ({ status }) => status.jid === jid)
  const tookS = ((systemClock.monotonicMs() - restartMs) / 1000).toFixed(1)
  say(`the session is connected again as ${jid}, ${tookS} s after the start, and nobody scanned anything`)
  await eventually('the message of the meantime', async () =>
    (await textsIn(second.api, 'shop')).includes('Are you still there?'),
  )
  say('"Are you still there?" is in its feed')
  await second.api.send('shop', ADA, 'Never away')
  await readsAda('Never away')
  say('"Never away" went out, and Ada reads it')

  const [phone, device] = await Promise.all([phones.phoneReport(SHOP), phones.device(jid)])
  const texts = await textsIn(second.api, 'shop')
  say(
    `WhatsApp counted: ${phone.linkedMax} linked device, ${device.openMax} connection at a time, ` +
      `${device.replaced} conflicts, ${device.retriesSent} messages that could not be read`,
  )
  demand('one linked device', phone.linkedMax === 1)
  demand('one connection at a time', device.openMax === 1 && device.replaced === 0)
  demand('every message is in the feed once', texts.length === 2 && new Set(texts).size === 2)
  demand('every message could be read', device.retriesSent === 0 && device.retriesReceived === 0)
}

async function main(): Promise<void> {
  process.stdout.write('A session outlives its process and its disk. Nothing here leaves this machine.\n\n')
  const whatsapp = await startWhatsApp()
  const installation = await install({ whatsappUrl: whatsapp.url })
  const cleanUp = async (): Promise<void> => {
    await installation.close()
    await whatsapp.child.end('SIGTERM')
  }
  process.once('SIGINT', () => void cleanUp().finally(() => process.exit(130)))
  try {
    say(`a stand-in for WhatsApp listens at ${whatsapp.url}`)
    await show(whatsapp, installation)
    process.stdout.write('\nAs promised.\n')
  } catch (error) {
    process.stdout.write(`\n${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  } finally {
    await cleanUp()
  }
}

await main()
