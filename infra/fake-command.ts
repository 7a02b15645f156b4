/**
 * Stand-ins for command-line programs in tests of shell scripts: on PATH they shadow the real ones, write down how they
 * were called, answer from a table, and fail where they are told to. They are shell scripts themselves, because a
 * deploy calls gcloud some twenty times and starting Node for each would take seconds.
 */

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** What a call answers: the first rule whose pattern is found in the call's arguments wins; no rule, no output. */
export interface Rule {
  /** Read by bash as well: no lookaround, no `\d`, and no flags. */
  when: RegExp
  print?: string
  exit?: number
  /** Sends SIGTERM to the script that called, as a platform does that ends a build. */
  endsCaller?: boolean
  /** From which matching call on the rule counts; 1 when left out. */
  fromCall?: number
}

export interface Outcome {
  status: number | null
  stdout: string
  stderr: string
  /** Every call of every fake, in order: the program's name and its arguments. */
  calls: string[]
}

/** Runs a shell script with the given programs faked, and returns what it said and whom it called. */
export function runWithFakes(
  script: string,
  env: Record<string, string>,
  fakes: Record<string, readonly Rule[]>,
): Outcome {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-fakes-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const bin = join(folder, 'bin')
  const record = join(folder, 'calls')
  mkdirSync(bin)
  writeFileSync(record, '')
  for (const [program, rules] of Object.entries(fakes)) {
    writeFileSync(join(bin, program), fakeScript(program, rules, record))
    chmodSync(join(bin, program), 0o755)
  }
  const PATH = `${bin}:/usr/local/bin:/usr/bin:/bin`
  const { status, stdout, stderr } = spawnSync('bash', [script], { encoding: 'utf8', env: { PATH, ...env } })
  return { status, stdout, stderr, calls: readFileSync(record, 'utf8').split('\n').filter(Boolean) }
}

function fakeScript(program: string, rules: readonly Rule[], record: string): string {
  const branches = rules.map(({ when, print, endsCaller, exit = 0, fromCall = 1 }) => {
    const pattern = quote(when.source.replaceAll(String.raw`\/`, '/'))
    const seen = fromCall > 1 ? ` && (($(grep -c -E -- ${pattern} ${quote(record)}) >= ${fromCall}))` : ''
    const says = print === undefined ? '' : `printf '%s\\n' ${quote(print)}; `
    const fails = exit === 0 ? '' : `echo ${quote(`${program}: told to fail`)} >&2; `
    return `pattern=${pattern}; if [[ "$call" =~ $pattern ]]${seen}; then ${says}${endsCaller === true ? 'kill -TERM "$PPID"; ' : ''}${fails}exit ${exit}; fi`
  })
  return ['#!/bin/bash', 'call="$*"', `echo ${quote(program)} "$call" >> ${quote(record)}`, ...branches].join(
    '\n',
  )
}

/** A word that a shell takes as it stands. */
const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`
