/**
 * Providers that know a schema and nothing else, so that Terraform itself can judge infra/ without a network, a cloud or the
 * provider's binary. Terraform finds them through TF_REATTACH_PROVIDERS, which is meant for debugging providers. What a
 * resource would become is not decided here: the tests mock the provider (`mock_provider`), for which Terraform asks a
 * provider for its schema alone. Ephemeral resources can't be mocked, so the random password is answered.
 */

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Server, ServerCredentials, loadPackageDefinition, type sendUnaryData } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Block, Resource } from './extract-schema.ts'

type Answer = sendUnaryData<unknown>

/** Types as Terraform writes them. */
const types: Record<string, string> = {
  string: '"string"',
  number: '"number"',
  bool: '"bool"',
  list: '["list","string"]',
  map: '["map","string"]',
}
const writeOnly = new Set(['secret_data_wo'])

/** What the random password is in a plan; it must be found in none. */
export const SECRET = 'x'.repeat(43)

function describe(block: Block, exports: readonly string[] = []): object {
  const attributes = Object.entries(block.arguments).map(([name, type]) => {
    const required = block.required.includes(name)
    const write_only = writeOnly.has(name)
    return {
      name,
      type: Buffer.from(types[type] ?? ''),
      required,
      optional: !required,
      computed: !required && !write_only,
      write_only,
    }
  })
  // Of what is exported the source has no types; everything that infra/ refers to is text.
  const computed = exports
    .filter((name) => !(name in block.arguments) && !(name in block.blocks))
    .map((name) => ({ name, type: Buffer.from('"string"'), computed: true }))
  const block_types = Object.entries(block.blocks).map(([type_name, inner]) => ({
    type_name,
    block: describe(inner),
    nesting: 2,
    min_items: block.required.includes(type_name) ? 1 : 0,
    max_items: inner.many ? 0 : 1,
  }))
  return { attributes: [...attributes, ...computed], block_types }
}

/** Serves what provider-schema.json knows of one provider; the port it listens on, and how to end it. */
async function serve(name: 'google' | 'random'): Promise<{ port: number; stop: () => void }> {
  const file = join(import.meta.dirname, 'provider-schema.json')
  const known = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Resource>
  const schemas = Object.fromEntries(
    Object.entries(known)
      .filter(([type]) => type.startsWith(`${name}_`))
      .map(([type, resource]) => [type, { version: 0, block: describe(resource, resource.exports) }]),
  )
  const settings = name === 'google' ? ['project', 'region'] : []
  const provider = {
    version: 0,
    block: {
      attributes: settings.map((each) => ({ name: each, type: Buffer.from('"string"'), optional: true })),
    },
  }
  const password = { length: SECRET.length, special: false, result: SECRET }
  const nothing = (_: unknown, answer: Answer) => answer(null, {})
  const server = new Server({ 'grpc.max_send_message_length': -1 })
  const { tfplugin5 } = loadPackageDefinition(
    loadSync(join(import.meta.dirname, 'tfplugin5.proto'), { keepCase: true }),
  ) as never as {
    tfplugin5: { Provider: { service: Parameters<Server['addService']>[0] } }
  }
  server.addService(tfplugin5.Provider.service, {
    GetSchema: (_: unknown, answer: Answer) =>
      answer(null, {
        provider,
        [name === 'google' ? 'resource_schemas' : 'ephemeral_resource_schemas']: schemas,
      }),
    PrepareProviderConfig: ({ request }: { request: { config: unknown } }, answer: Answer) =>
      answer(null, { prepared_config: request.config }),
    ValidateResourceTypeConfig: nothing,
    ValidateEphemeralResourceConfig: nothing,
    Configure: nothing,
    OpenEphemeralResource: (_: unknown, answer: Answer) =>
      answer(null, { result: { json: Buffer.from(JSON.stringify(password)) } }),
    CloseEphemeralResource: nothing,
    Stop: nothing,
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  return { port, stop: () => server.forceShutdown() }
}

/** Runs Terraform in a folder, with stand-ins for the providers that infra/ names. */
export async function terraformWithStandIns(): Promise<{
  run: (folder: string, args: readonly string[]) => Promise<{ status: number | null; output: string }>
  stop: () => void
}> {
  const [google, random] = await Promise.all([serve('google'), serve('random')])
  const attach = (port: number) => ({
    Protocol: 'grpc',
    ProtocolVersion: 5,
    Pid: process.pid,
    Test: true,
    Addr: { Network: 'tcp', String: `127.0.0.1:${port}` },
  })
  const TF_REATTACH_PROVIDERS = JSON.stringify({
    'registry.terraform.io/hashicorp/google': attach(google.port),
    'registry.terraform.io/hashicorp/random': attach(random.port),
  })
  const { PATH = '', HOME = '' } = process.env
  const env = { PATH, HOME, TF_REATTACH_PROVIDERS, TF_IN_AUTOMATION: '1', CHECKPOINT_DISABLE: '1' }
  return {
    run: (folder, args) =>
      new Promise((resolve, reject) => {
        let output = ''
        const child = spawn('terraform', args, { cwd: folder, env })
        child.stdout.on('data', (text: Buffer) => (output += text.toString()))
        child.stderr.on('data', (text: Buffer) => (output += text.toString()))
        child.on('error', reject)
        child.on('close', (status) => resolve({ status, output }))
      }),
    stop: () => {
      google.stop()
      random.stop()
    },
  }
}
