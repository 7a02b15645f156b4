/**
 * Reads Terraform files for the tests: HashiCorp's own parser (compiled to wasm) turns each file into JSON, and the
 * functions here walk over it. Expressions stay text, as `${…}`.
 */

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from '@cdktn/hcl2json'

export type Body = Record<string, unknown>

/** One resource as written: of which type, under which name, with what inside. */
export interface Written {
  type: string
  name: string
  body: Body
}

/** Every `.tf` file of a folder, parsed. Throws with file, line and column where one can't be. */
export async function readTerraform(folder: string): Promise<Map<string, Body>> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.tf'))
  const parsed = await Promise.all(
    files.map(
      async (file) => [file, asBody(await parse(file, readFileSync(join(folder, file), 'utf8')))] as const,
    ),
  )
  return new Map(parsed)
}

/** The resources of parsed files, in one list. */
export function resourcesOf(files: ReadonlyMap<string, Body>): Written[] {
  return [...files.values()].flatMap((parsed) =>
    Object.entries(asBody(parsed['resource'])).flatMap(([type, named]) =>
      Object.entries(asBody(named)).flatMap(([name, bodies]) =>
        asList(bodies).map((body) => ({ type, name, body: asBody(body) })),
      ),
    ),
  )
}

/** What the labelled blocks of one kind (`variable`, `output`) hold, by label. */
export function labelled(files: ReadonlyMap<string, Body>, kind: string): Map<string, Body> {
  const entries = [...files.values()].flatMap((parsed) => Object.entries(asBody(parsed[kind])))
  return new Map(entries.map(([name, bodies]) => [name, asBody(asList(bodies)[0])]))
}

/** The names that `locals` blocks define. */
export function localsOf(files: ReadonlyMap<string, Body>): string[] {
  return [...files.values()].flatMap((parsed) =>
    asList(parsed['locals']).flatMap((body) => Object.keys(asBody(body))),
  )
}

export function asBody(value: unknown): Body {
  return typeof value === 'object' && value !== null ? (value as Body) : {}
}

export function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value]
}
