/**
 * The rolling deploy, rehearsed without Cloud Run: real processes of two revisions, the stores of Google Cloud (emulator and
 * stand-ins), a WhatsApp that counts. Ends with 1 when a session was opened twice, or a text was lost.
 *
 *   node infra/rehearse-deploy.ts --sessions 60 --runners 2 --deploys 3
 */

import { Command, InvalidArgumentError } from 'commander'
import { percentile } from '#test/bench/report.ts'
import { whyNoEmulator } from '#test/cloud/emulator.ts'
import { complaintsOf, rehearse } from '#test/rehearsal/rehearsal.ts'

const positive = (text: string): number => {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1)
    throw new InvalidArgumentError('must be a whole number from 1 on')
  return number
}

const program = new Command('rehearse-deploy')
  .description(
    "Plays Cloud Run's part in a rolling deploy under traffic, on this machine: starts the new revision, waits for " +
      '/health/ready, SIGTERM to the old one, SIGKILL after ten seconds. Needs gcloud and Java for the Firestore emulator.',
  )
  .option('-s, --sessions <number>', 'paired sessions', positive, 60)
  .option('-r, --runners <number>', 'runners of each revision', positive, 2)
  .option('-d, --deploys <number>', 'deploys, one after the other', positive, 3)
  .action(async (options: { sessions: number; runners: number; deploys: number }) => {
    const reason = whyNoEmulator()
    if (reason !== undefined) program.error(reason)
    const say = (line: string): void => void process.stdout.write(`${line}\n`)
    const seen = await rehearse({ ...options, say })
    const gap = (share: number): string => `${percentile(seen.gapsMs, share).toFixed(0)} ms`
    say(
      `gap without a socket  p50 ${gap(0.5)}, p99 ${gap(0.99)}, at most ${gap(1)} (${seen.gapsMs.length} gaps)`,
    )
    say(`conflicts (440)       ${seen.conflicts}`)
    say(
      `texts                 ${seen.toSessions} to sessions, ${seen.toPeer} from them; ${seen.lost.length} lost, ${seen.doubled.length} doubled`,
    )
    say(`retry receipts        ${seen.retryReceipts}`)
    say(`SIGTERM → exit        at most ${seen.slowestStopMs.toFixed(0)} ms, ${seen.killed} killed`)
    const complaints = complaintsOf(seen)
    for (const complaint of complaints) process.stderr.write(`broken: ${complaint}\n`)
    process.exitCode = complaints.length === 0 ? 0 : 1
  })

await program.parseAsync()
