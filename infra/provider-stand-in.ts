/**
 * A provider that knows the schema of the real one and nothing else, so that Terraform itself can validate and plan
 * infra/ without a network, a cloud or the provider's binary. Terraform finds it through TF_REATTACH_PROVIDERS, which
 * is meant for debugging providers. Whatever only the cloud decides is answered with "unknown", as before a first apply.
 */

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { Server, ServerCredentials, loadPackageDefinition, type sendUnaryData } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { ExtensionCodec, decode, encode } from '@msgpack/msgpack'
import type { Block, Resource } from './extract-schema.ts'

interface Call {
  request: { type_name: string; config: Value; proposed_new_state: Value }
}
interface Value {
  msgpack: Uint8Array
}
type Answer = sendUnaryData<unknown>

/** Types as Terraform writes them. What a provider exports is text, or of a shape that is left open. */
const types: Record<string, string> = {
  string: '"string"',
  number: '"number"',
  bool: '"bool"',
  list: '["list","string"]',
  map: '["map","string"]',
  open: '"dynamic"',
}
const textual = new Set([
  'id',
  'name',
  'email',
  'member',
  'uri',
  'version',
  'self_link',
  'address',
  'uptime_check_id',
  'result',
])
const writeOnly = new Set(['secret_data_wo'])

/** Terraform's mark for a value that is not known yet: extension 0, or 12 when something about it is. */
class Unknown {
  readonly known = false
}
const extensionCodec = new ExtensionCodec()
extensionCodec.register({
  type: 0,
  encode: (value) => (value instanceof Unknown ? new Uint8Array([0]) : null),
  decode: () => new Unknown(),
})
extensionCodec.register({ type: 12, encode: () => null, decode: () => new Unknown() })

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
  const computed = exports
    .filter((name) => !(name in block.arguments) && !(name in block.blocks))
    .map((name) => ({
      name,
      type: Buffer.from(types[textual.has(name) ? 'string' : 'open'] ?? ''),
      computed: true,
    }))
  const block_types = Object.entries(block.blocks).map(([type_name, inner]) => ({
    type_name,
    block: describe(inner),
    nesting: 2,
    min_items: block.required.includes(type_name) ? 1 : 0,
    max_items: inner.many ? 0 : 1,
  }))
  return { attributes: [...attributes, ...computed], block_types }
}

/** What an apply would give: known where it was written, unknown where the cloud decides, and never a secret. */
function planned(resource: Resource, proposed: Uint8Array): Uint8Array {
  const state = decode(proposed, { extensionCodec }) as Record<string, unknown> | null
  if (state === null) return proposed
  for (const name of resource.exports) {
    const decided = !(name in resource.blocks) && (!(name in resource.arguments) || textual.has(name))
    if (decided && state[name] === null) state[name] = new Unknown()
  }
  for (const name of writeOnly) if (name in state) state[name] = null
  return encode(state, { extensionCodec })
}

/** Serves the resources given; the port it listens on, and how to end it. */
async function serve(
  schema: Record<string, Resource>,
  settings: readonly string[],
): Promise<{ port: number; stop: () => void }> {
  const schemas = (kind: RegExp) =>
    Object.fromEntries(
      Object.entries(schema)
        .filter(([type]) => kind.test(type))
        .map(([type, resource]) => [type, { version: 0, block: describe(resource, resource.exports) }]),
    )
  const provider = {
    version: 0,
    block: { attributes: settings.map((name) => ({ name, type: Buffer.from('"string"'), optional: true })) },
  }
  const nothing = (_: Call, answer: Answer) => answer(null, {})
  const server = new Server({ 'grpc.max_send_message_length': -1 })
  const { tfplugin5 } = loadPackageDefinition(
    loadSync(join(import.meta.dirname, 'tfplugin5.proto'), { keepCase: true }),
  ) as never as {
    tfplugin5: { Provider: { service: Parameters<Server['addService']>[0] } }
  }
  server.addService(tfplugin5.Provider.service, {
    GetSchema: (_: Call, answer: Answer) =>
      answer(null, {
        provider,
        resource_schemas: schemas(/^google_/),
        ephemeral_resource_schemas: schemas(/^random_/),
      }),
    PrepareProviderConfig: ({ request }: Call, answer: Answer) =>
      answer(null, { prepared_config: request.config }),
    ValidateResourceTypeConfig: nothing,
    ValidateEphemeralResourceConfig: nothing,
    Configure: nothing,
    PlanResourceChange: ({ request }: Call, answer: Answer) => {
      const resource = schema[request.type_name]
      const state = request.proposed_new_state.msgpack
      const msgpack = resource === undefined ? state : planned(resource, state)
      answer(null, { planned_state: { msgpack }, legacy_type_system: true })
    },
    OpenEphemeralResource: ({ request }: Call, answer: Answer) => {
      const config = decode(request.config.msgpack, { extensionCodec }) as Record<string, unknown>
      answer(null, { result: { msgpack: encode({ ...config, result: 'x'.repeat(43) }, { extensionCodec }) } })
    },
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
export async function terraformWithStandIns(schema: Record<string, Resource>): Promise<{
  run: (folder: string, args: readonly string[]) => Promise<{ status: number | null; output: string }>
  stop: () => void
}> {
  const google = await serve(schema, ['project', 'region'])
  const random = await serve(schema, [])
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
