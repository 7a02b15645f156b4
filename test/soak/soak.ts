import { systemClock } from '#shared/clock.ts'
import { seededRandom, type Random } from '#shared/random.ts'
import type { Installation } from '../e2e/installation.ts'
import type { MooringProcess } from '../e2e/mooring-process.ts'
import { eventually } from '../e2e/eventually.ts'
import { connected, pairByQr } from '../e2e/people.ts'
import type { WhatsAppAdmin } from '../whatsapp/client.ts'
import { Correspondence } from './correspondence.ts'
import { judge, unacknowledged, type Figures } from './judge.ts'

export interface SoakOptions {
  kills: number
  seed: number
  sessions: number
  whatsapp: WhatsAppAdmin
  installation: Installation
  newNumber: () => string
  /** Ends it early: what was done so far is judged. */
  signal?: AbortSignal
  /** After each kill. */
  progress?: (kills: number, texts: number) => Promise<void> | void
}

/** The moment of a kill, after a burst began. */
const KILL_MIN_MS = 20
const KILL_MAX_MS = 400
/** So many rounds do not wait until the sessions are at rest: the kill comes while they catch up. */
const EARLY_SHARE = 0.4
/** A life between two kills is too short for all that is asked for; once in a while everything is sent. */
const REST_EVERY = 10
const REST_WITHIN_MS = 120_000
/** A burst may be over before the kill, or go on after it. */
const SPAN_MIN = 0.4
const SPAN_MAX = 1.4

/**
 * Kills Mooring again and again while everybody writes to everybody, with an empty disk every second time, and counts what
 * that did to anybody. The seed decides the moments; what the operating system makes of them it does not.
 */
export async function soak(options: SoakOptions): Promise<Figures> {
  const { seed, sessions, whatsapp, installation, newNumber, progress, signal } = options
  const dice = seededRandom(seed)
  let mooring = await installation.start()
  const all: Correspondence[] = []
  for (let at = 0; at < sessions; at++) {
    const linked = await pairByQr(mooring.api, whatsapp, `soak${at}`, newNumber())
    all.push(await Correspondence.begin(whatsapp, linked, [newNumber(), newNumber()], dice))
  }
  let kills = 0
  while (kills < options.kills && !signal?.aborted) {
    kills++
    if (kills % REST_EVERY === 0) await comesToRest(mooring, all)
    await killInTraffic(mooring, all, `${kills}`, { dice, whatsapp })
    if (kills % 2 === 0) await installation.wipeWorkDir()
    mooring = await installation.start()
    await progress?.(kills, textsOf(all))
  }
  await comesToRest(mooring, all)
  return judge({ api: mooring.api, whatsapp, all, kills, processes: installation.processes })
}

async function killInTraffic(
  mooring: MooringProcess,
  all: readonly Correspondence[],
  name: string,
  { dice, whatsapp }: { dice: Random; whatsapp: WhatsAppAdmin },
): Promise<void> {
  const waitMs = KILL_MIN_MS + dice.next() * (KILL_MAX_MS - KILL_MIN_MS)
  const spanMs = waitMs * (SPAN_MIN + dice.next() * (SPAN_MAX - SPAN_MIN))
  if (dice.next() < EARLY_SHARE) await loggedIn(whatsapp, all)
  else for (const { linked } of all) await connected(mooring.api, linked.session)
  const bursts = all.map(async (one) => {
    await one.repeatUnanswered(mooring.api)
    await one.burst(mooring.api, { name, spanMs })
  })
  await systemClock.sleep(waitMs)
  await mooring.kill()
  await Promise.all(bursts)
}

/** Everything that was asked for is accepted and acknowledged. */
async function comesToRest({ api }: MooringProcess, all: readonly Correspondence[]): Promise<void> {
  for (const one of all) {
    await connected(api, one.linked.session)
    const left = (): Promise<number> => one.repeatUnanswered(api)
    await eventually('every text to be accepted', left, (count) => count === 0, REST_WITHIN_MS)
    const waiting = (): Promise<number> => unacknowledged(api, one)
    await eventually('every text to be sent', waiting, (count) => count === 0, REST_WITHIN_MS)
  }
}

/** The first of them has a connection, and what it missed is just on its way. */
async function loggedIn(whatsapp: WhatsAppAdmin, all: readonly Correspondence[]): Promise<void> {
  const [first] = all
  if (!first) return
  await eventually(
    'a login',
    () => whatsapp.device(first.linked.jid),
    ({ open }) => open > 0,
  )
}

const textsOf = (all: readonly Correspondence[]): number =>
  all.reduce((sum, { incoming, outgoing }) => sum + incoming.size + outgoing.length, 0)
