/**
 * Reads Terraform files for the tests: HashiCorp's own parser (compiled to wasm) turns each file into JSON, and the
 * functions here walk over it. Expressions stay text, as `${…}`.
 */

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from '@cdktn/hcl2json'
import type { Block, Resource } from './extract-schema.ts'

export type Body = Record<string, unknown>

/** One resource as written: where, of which type, under which name, with what inside. */
export interface Written {
  file: string
  type: string
  name: string
  body: Body
}

/** Arguments that Terraform itself understands in every resource. */
const metaArguments = new Set(['for_each', 'count', 'depends_on', 'provider'])
const metaBlocks = new Set(['lifecycle'])

export function readSchema(): Record<string, Resource> {
  return JSON.parse(readFileSync(join(import.meta.dirname, 'provider-schema.json'), 'utf8')) as Record<
    string,
    Resource
  >
}

/** Every `.tf` file of a folder, parsed. Throws with file, line and column where one can't be. */
export async function readTerraform(folder: string): Promise<Map<string, Body>> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.tf'))
  const parsed = await Promise.all(
    files.map(
      async (file) => [file, await parseHcl(file, readFileSync(join(folder, file), 'utf8'))] as const,
    ),
  )
  return new Map(parsed)
}

export async function parseHcl(file: string, text: string): Promise<Body> {
  return (await parse(file, text)) as Body
}

/** The resources (ephemeral ones too) of parsed files, in one list. */
export function resourcesOf(files: ReadonlyMap<string, Body>): Written[] {
  return [...files].flatMap(([file, parsed]) =>
    ['resource', 'ephemeral'].flatMap((kind) =>
      Object.entries(asBody(parsed[kind])).flatMap(([type, named]) =>
        Object.entries(asBody(named)).flatMap(([name, bodies]) =>
          asList(bodies).map((body) => ({ file, type, name, body: asBody(body) })),
        ),
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

/** What is wrong with a body, as sentences; an empty list when the schema knows all of it and misses nothing. */
export function problemsOf(where: string, body: Body, schema: Block, outermost = true): string[] {
  const problems: string[] = []
  const dynamic = asBody(body['dynamic'])
  const present = new Set([...Object.keys(body), ...Object.keys(dynamic)])
  for (const name of schema.required) if (!present.has(name)) problems.push(`${where} misses ${name}`)

  for (const [name, value] of Object.entries(body)) {
    if (name === 'dynamic' || (outermost && (metaArguments.has(name) || metaBlocks.has(name)))) continue
    const inner = schema.blocks[name]
    const type = schema.arguments[name]
    if (inner !== undefined) problems.push(...problemsOfBlocks(`${where}.${name}`, asList(value), inner))
    else if (type === undefined) problems.push(`${where} has no argument ${name}`)
    else if (!fits(value, type)) problems.push(`${where}.${name} must be a ${type}`)
  }
  for (const [name, bodies] of Object.entries(dynamic)) {
    const inner = schema.blocks[name]
    const contents = asList(bodies).flatMap((each) => asList(asBody(each)['content']))
    if (inner === undefined) problems.push(`${where} has no block ${name}`)
    else
      problems.push(
        ...contents.flatMap((content) => problemsOf(`${where}.${name}`, asBody(content), inner, false)),
      )
  }
  return problems
}

function problemsOfBlocks(where: string, bodies: unknown[], schema: Block & { many: boolean }): string[] {
  const repeated = bodies.length > 1 && !schema.many ? [`${where} may be written once only`] : []
  return [...repeated, ...bodies.flatMap((body) => problemsOf(where, asBody(body), schema, false))]
}

/** Only literals can be judged here; what an expression gives is known to Terraform alone. */
function fits(value: unknown, type: string): boolean {
  if (typeof value === 'string' && value.startsWith('${')) return true
  if (type === 'list') return Array.isArray(value)
  if (type === 'map') return typeof value === 'object' && !Array.isArray(value)
  if (type === 'bool') return typeof value === 'boolean'
  return type === 'number' ? typeof value === 'number' : typeof value === 'string'
}

/** Every reference in the expressions of a value, such as `var.region` or `google_kms_key_ring.mooring.id`. */
export function referencesIn(value: unknown): string[] {
  if (typeof value === 'string') {
    const pattern =
      /(?<![\w."])((?:var|local|each|count|google_\w+|random_\w+)(?:\.[A-Za-z_]\w*|\[[^\]]*\])*)/g
    return [...value.matchAll(/\$\{[\s\S]*\}/g)].flatMap(([expression]) =>
      [...expression.matchAll(pattern)].map(([reference]) => reference),
    )
  }
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap((inner) => referencesIn(inner))
}

export function asBody(value: unknown): Body {
  return typeof value === 'object' && value !== null ? (value as Body) : {}
}

export function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value]
}
