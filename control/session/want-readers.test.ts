import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Want } from '#shared/session.ts'
import { NewWant, WantPatch, WholeWant } from './want.ts'

/**
 * No field of a want is accepted that nothing reads (docs/design/api.md §8.4): for each the file that makes something of it.
 * The compiler demands a line for every field of the type, the tests for every field that a client may send.
 */
const READERS = {
  state: 'runner/loop/observe.ts',
  generation: 'runner/loop/status.ts',
  restart: 'runner/loop/observe.ts',
  resume: 'runner/loop/observe.ts',
  pairing: 'runner/loop/observe.ts',
  deleting: 'runner/loop/observe.ts',
  reconnect: 'runner/loop/steps/verdict.ts',
  proxy: 'runner/loop/steps/connection.ts',
  // The tenant's own notes: whoever asks for the session gets them back.
  metadata: 'control/present/present.ts',
} satisfies Record<keyof Want, string>

const ROOT = join(import.meta.dirname, '../..')

/** `want.field`, or the field taken out of a want. */
const reads = (source: string, field: string): boolean =>
  new RegExp(String.raw`\bwant\.${field}\b|\{[^{}]*\b${field}\b[^{}]*\} = (?:\w+\.)?want\b`).test(source)

test.for(Object.entries(READERS))('want.%s is read by %s', ([field, file]) => {
  expect(reads(readFileSync(join(ROOT, file), 'utf8'), field)).toBe(true)
})

test('the search tells a field that is read from one that is not', () => {
  expect(reads('const { state, proxy } = session.want', 'proxy')).toBe(true)
  expect(reads('const { state } = want\nconst { proxy } = wanted', 'proxy')).toBe(false)
  expect(reads('want.proxyUrl', 'proxy')).toBe(false)
})

describe.for([
  ['a creation', NewWant],
  ['a whole want', WholeWant],
  ['a change', WantPatch],
] as const)('%s', ([, schema]) => {
  test('takes no field without a reader', () => {
    const taken = Object.keys(schema.shape)
    expect(taken).toContain('state')
    expect(taken.filter((field) => !(field in READERS))).toEqual([])
  })
})
