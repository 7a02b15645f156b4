/**
 * Writes provider-schema.json: the arguments, blocks and exported attributes of the Terraform resources that infra/
 * uses, so that Terraform can judge them without a network and without the provider (a binary of 100 MB).
 *
 * The source is the type declarations of the npm package @cdktf/provider-google, whose doc comments carry the exact
 * argument names. It is unpacked by hand, since no test needs its 30 MB:
 *
 *   npm pack @cdktf/provider-google@16.12.1 && tar xzf cdktf-provider-google-16.12.1.tgz
 *   node infra/extract-schema.ts package
 *
 * Its last version describes provider 6.50. What 7.x added and we use stands in `sinceThen` below, from the provider's
 * own documentation; nothing that we use was removed in between.
 */

import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Shape of one block: its plain arguments by type, which of them must be there, and the blocks inside. */
export interface Block {
  arguments: Record<string, string>
  required: string[]
  blocks: Record<string, Block & { many: boolean }>
}

/** A resource is a block that also exports attributes for others to refer to. */
export interface Resource extends Block {
  exports: string[]
}

interface Field {
  name: string
  type: string
  optional: boolean
}

const sinceThen: Record<string, (resource: Resource) => void> = {
  google_cloud_run_v2_worker_pool: (pool) => {
    const httpGet = block({ path: 'string', port: 'number' })
    const probe = block(
      {
        initial_delay_seconds: 'number',
        timeout_seconds: 'number',
        period_seconds: 'number',
        failure_threshold: 'number',
      },
      { http_get: httpGet },
    )
    const containers = pool.blocks['template']?.blocks['containers']
    if (containers === undefined) throw new Error('the worker pool has no containers block any more')
    containers.blocks['startup_probe'] = { ...probe, many: false }
    containers.blocks['liveness_probe'] = { ...probe, many: false }
  },
}

/** Not in the package at all: ephemeral resources have no class there. */
const byHand: Record<string, Resource> = {
  random_password: {
    ...block({ length: 'number', special: 'bool' }),
    required: ['length'],
    exports: ['result'],
  },
}

function block(types: Record<string, string>, blocks: Record<string, Block> = {}): Block {
  const single = Object.entries(blocks).map(([name, inner]) => [name, { ...inner, many: false }] as const)
  return { arguments: types, required: [], blocks: Object.fromEntries(single) }
}

/** Every interface of a declaration file, with its fields; a field's Terraform name is the anchor in its comment. */
function interfacesOf(text: string): Map<string, Field[]> {
  const found = new Map<string, Field[]>()
  for (const [, name = '', body = ''] of text.matchAll(/export interface (\w+)[^{]*\{([\s\S]*?)\n\}/g)) {
    const fields = body.matchAll(
      /#(\w+) \w+#\w+\}(?:(?!\*\/)[\s\S])*\*\/\s*readonly \w+(\?)?: ([^;{]+|\{[^}]*\});?/g,
    )
    found.set(
      name,
      [...fields].map(([, field = '', mark, type = '']) => ({
        name: field,
        type: type.trim(),
        optional: mark === '?',
      })),
    )
  }
  return found
}

function typeOf(declared: string): string {
  if (declared.startsWith('{')) return 'map'
  if (declared.startsWith('string[]') || declared.startsWith('number[]')) return 'list'
  if (declared.startsWith('boolean')) return 'bool'
  return declared.startsWith('number') ? 'number' : 'string'
}

function blockOf(name: string, interfaces: Map<string, Field[]>): Block {
  const result: Block = { arguments: {}, required: [], blocks: {} }
  for (const field of interfaces.get(name) ?? []) {
    const inner = /^(\w+?)(\[\])?( \| cdktf\.IResolvable)?$/.exec(field.type)
    if (!field.optional) result.required.push(field.name)
    if (inner?.[1] !== undefined && interfaces.has(inner[1])) {
      result.blocks[field.name] = { many: inner[2] !== undefined, ...blockOf(inner[1], interfaces) }
    } else {
      result.arguments[field.name] = typeOf(field.type)
    }
  }
  return result
}

function snakeCase(camel: string): string {
  return camel.replaceAll(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`)
}

function resourceOf(text: string): Resource | undefined {
  const className = /export declare class (\w+) extends cdktf\.TerraformResource/.exec(text)?.[1]
  if (className === undefined) return undefined
  const interfaces = interfacesOf(text)
  const body = text.slice(text.indexOf(`export declare class ${className} extends`))
  const getters = [...body.matchAll(/\n {4}get (\w+)\(\):/g)].map(([, getter = '']) => snakeCase(getter))
  return {
    ...blockOf(`${className}Config`, interfaces),
    exports: getters.filter((getter) => !getter.endsWith('_input')),
  }
}

function extract(packageRoot: string, wanted: ReadonlySet<string>): Record<string, Resource> {
  const found: Record<string, Resource> = { ...byHand }
  for (const folder of readdirSync(join(packageRoot, 'lib'), { withFileTypes: true })) {
    const type = `google_${folder.name.replaceAll('-', '_')}`
    if (!folder.isDirectory() || !wanted.has(type)) continue
    const resource = resourceOf(readFileSync(join(packageRoot, 'lib', folder.name, 'index.d.ts'), 'utf8'))
    if (resource === undefined) continue
    sinceThen[type]?.(resource)
    found[type] = resource
  }
  return found
}

function usedTypes(): Set<string> {
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.tf'))
  const text = files.map((file) => readFileSync(join(import.meta.dirname, file), 'utf8')).join('\n')
  return new Set([...text.matchAll(/^resource "(\w+)"/gm)].map(([, type = '']) => type))
}

if (import.meta.main) {
  const packageRoot = process.argv[2]
  if (packageRoot === undefined) throw new Error('usage: node infra/extract-schema.ts <unpacked package>')
  const wanted = usedTypes()
  const resources = extract(packageRoot, wanted)
  const missing = [...wanted].filter((type) => resources[type] === undefined)
  if (missing.length > 0) throw new Error(`not in the package: ${missing.join(', ')}`)
  const sorted = Object.fromEntries(Object.entries(resources).toSorted(([a], [b]) => a.localeCompare(b)))
  // One resource a line: a change of the list is then a diff that a person can read.
  const lines = Object.entries(sorted).map(([type, resource]) => `  "${type}": ${JSON.stringify(resource)}`)
  writeFileSync(join(import.meta.dirname, 'provider-schema.json'), `{\n${lines.join(',\n')}\n}\n`)
}
