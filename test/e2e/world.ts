import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import type { WhatsAppAdmin } from '#test/whatsapp/client.ts'
import { install, type Installation } from './installation.ts'
import type { MooringProcess } from './mooring-process.ts'
import { startWhatsApp, type WhatsAppProcess } from './whatsapp-process.ts'

/** Everything that one test file runs: a stand-in for WhatsApp, and installations of Mooring beside it. */
export interface World {
  /** Remote control and oracle of the stand-in. */
  readonly whatsapp: WhatsAppAdmin
  readonly whatsappUrl: string
  /**
   * A new installation. One that a test makes ends with that test, one of `beforeAll` with the file; then no process of it
   * is alive, no port of it answers, nothing of it is left on the disk.
   */
  readonly install: (env?: Readonly<Record<string, string>>) => Promise<Installation>
  /** Puts an installation that was made otherwise (a copy) under the same care. */
  adopt(installation: Installation): Installation
  /** A phone number that nobody in this file has. */
  readonly newNumber: () => string
}

/** Starts the stand-in for the tests of a file, takes everything down behind them, and fails whoever leaves something. */
export function useWorld(): World {
  let standIn: WhatsAppProcess | undefined
  const ofFile: Installation[] = []
  const ofTest: Installation[] = []
  let inTest = false
  let numbers = 0

  beforeAll(async () => {
    standIn = await startWhatsApp()
  })
  beforeEach(() => {
    inTest = true
  })
  afterEach(async ({ task }) => {
    inTest = false
    const installations = ofTest.splice(0)
    if (task.result?.state === 'fail') tellLastWords([...ofFile, ...installations], standIn)
    await takeDown(installations)
    await standIn?.admin.clearFaults()
  })
  afterAll(async () => {
    await takeDown(ofFile.splice(0))
    await standIn?.child.end('SIGTERM')
    expect(standIn?.child.alive).toBe(false)
  })

  const running = (): WhatsAppProcess => {
    if (!standIn) throw new Error('the stand-in is there from beforeAll on')
    return standIn
  }
  const adopt = (installation: Installation): Installation => {
    ;(inTest ? ofTest : ofFile).push(installation)
    return installation
  }
  return {
    get whatsapp() {
      return running().admin
    },
    get whatsappUrl() {
      return running().url
    },
    install: async (env = {}) => adopt(await install({ whatsappUrl: running().url, env })),
    adopt,
    newNumber: () => `49151${String(++numbers).padStart(8, '0')}`,
  }
}

async function takeDown(installations: readonly Installation[]): Promise<void> {
  await Promise.all(installations.map((installation) => installation.close()))
  for (const { processes, dataDir, workDir } of installations) {
    expect([dataDir, workDir].filter((path) => existsSync(path))).toEqual([])
    expect(processes.filter(({ child }) => isAlive(child.pid)).map(({ child }) => child.pid)).toEqual([])
    const answering = await Promise.all(processes.map(({ port }) => answers(port)))
    expect(answering.some(Boolean)).toBe(false)
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

function answers(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect(port, '127.0.0.1')
  socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
  return promise.finally(() => socket.destroy())
}

function tellLastWords(installations: readonly Installation[], standIn: WhatsAppProcess | undefined): void {
  const all: MooringProcess[] = installations.flatMap(({ processes }) => processes)
  for (const mooring of all) {
    const { pid, alive } = mooring.child
    const head = `mooring, pid ${pid}, port ${mooring.port}${alive ? '' : ', has ended'}`
    process.stderr.write(`\n--- ${head} ---\n${mooring.tail()}\n`)
  }
  if (standIn && !standIn.child.alive)
    process.stderr.write(`\n--- the stand-in has ended ---\n${standIn.child.lines.join('\n')}\n`)
}
