import { hostname } from 'node:os'
import { z } from 'zod'
import { CodedError } from './errors.ts'
import { nearest } from './nearest.ts'
import { proxyTrouble } from './proxy-url.ts'

const NO_WORDS = ['', '0', 'false', 'off', 'no']
const whole = (min: number, max: number) => z.coerce.number().int().min(min).max(max)
const onOff = z.string().transform((text) => !NO_WORDS.includes(text.toLowerCase()))

/** Origins with commas between them. `*` is none: whoever wants every page of the web to ask can name no reason for it. */
const origins = z
  .string()
  .transform((text) => text.split(',').map((origin) => origin.trim()))
  .refine((list) => list.every((origin) => /^https?:/.test(origin) && originOf(origin) === origin), {
    error: 'must be origins with commas between them, for example https://app.example.com',
  })
const originOf = (text: string): string | undefined => (URL.canParse(text) ? new URL(text).origin : undefined)

/** Every setting there is; only the composition roots read the environment, and only through this. */
const schema = z
  .object({
    MOORING_ROLE: z.enum(['all', 'control', 'runner']).default('all'),
    MOORING_STORE: z.enum(['embedded', 'google']).default('embedded'),
    MOORING_DATA_DIR: z.string().min(1).default('./.mooring'),
    MOORING_WORK_DIR: z.string().min(1).optional(),
    PORT: whole(0, 65_535).default(8080),
    // Plain HTTP, so nobody else's network unless somebody says so; the image says 0.0.0.0, since a container is a network.
    MOORING_HOST: z.string().min(1).default('127.0.0.1'),
    MOORING_CORS_ORIGINS: origins.default([]),
    MOORING_TRUSTED_PROXIES: whole(0, 10).default(0),
    MOORING_INSTANCES: whole(1, 1_000).default(1),
    MOORING_STREAMS_MAX: whole(1, 100_000).default(1_000),
    MOORING_ADMIN_KEY: z
      .string()
      .regex(
        /^moor_[A-Za-z0-9_-]{32,}$/,
        'must begin with "moor_" and go on with at least 32 of A-Z a-z 0-9 _ -',
      )
      .optional(),
    MOORING_KEY_PEPPER: z.string().min(32, 'must hold at least 32 characters of secret').optional(),
    MOORING_KEY: z.string().min(32, 'must hold at least 32 characters of secret').optional(),
    MOORING_CONTENT_SECRET: z.string().min(32, 'must hold at least 32 characters of secret').optional(),
    MOORING_INBOUND_IDENTITY: z
      .string()
      .regex(/^AGE-SECRET-KEY-/, 'must be an identity as age-keygen makes it, AGE-SECRET-KEY-1…')
      .optional(),
    MOORING_INBOUND_RECIPIENT: z
      .string()
      .regex(/^age1[0-9a-z]+$/, 'must be one age recipient, age1…')
      .optional(),
    MOORING_EXPORT: z.enum(['passphrase', 'recipients']).optional(),
    MOORING_EXPORT_RECIPIENTS: z.string().min(1).optional(),
    MOORING_ROTATE_KEYS_DAYS: whole(0, 3650).default(90),
    MOORING_WHATSAPP_URL: z
      .string()
      .regex(/^wss?:\/\//, 'must be a ws:// or wss:// address')
      .optional(),
    MOORING_PROXY_URL: z
      .string()
      .superRefine((text, context) => {
        const message = proxyTrouble(text)
        if (message !== undefined) context.addIssue({ code: 'custom', message })
      })
      .optional(),
    MOORING_ALLOW_PRIVATE_ADDRESSES: onOff.default(false),
    MOORING_RUNNER_ID: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$/, 'must be 1 to 41 of A-Z a-z 0-9 . _ -')
      .optional(),
    MOORING_RECONCILE: onOff.default(true),
    MOORING_RENEW_EVERY_MS: whole(50, 600_000).default(2500),
    MOORING_RENEW_WITHIN_MS: whole(100, 600_000).default(6500),
    MOORING_LEASE_FOR_MS: whole(200, 600_000).default(10_000),
    MOORING_RESYNC_EVERY_MS: whole(100, 3_600_000).default(120_000),
    MOORING_CONNECTS_PER_SECOND: z.coerce.number().positive().max(10_000).default(10),
    MOORING_CONNECTING_MAX: whole(1, 10_000).default(50),
    MOORING_REBALANCE_PER_MINUTE: z.coerce.number().min(0).max(600).default(6),
    MOORING_CAPACITY: whole(1, 100_000).default(500),
    MOORING_CONNECT_TIMEOUT_MS: whole(100, 600_000).default(20_000),
    MOORING_KEEP_ALIVE_EVERY_MS: whole(100, 600_000).default(30_000),
    MOORING_WHATSAPP_VERSION: z
      .string()
      .regex(
        /^(auto|\d+\.\d+\.\d+)$/,
        'must be auto, or three numbers with dots, for example 2.3000.1043857760',
      )
      .default('auto'),
    MOORING_WHATSAPP_PAGE_URL: z
      .string()
      .regex(/^https?:\/\//, 'must be an http:// or https:// address')
      .optional(),
    MOORING_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    MOORING_BAILEYS_LOG_LEVEL: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
      .default('silent'),
    GOOGLE_CLOUD_PROJECT: z.string().min(1).optional(),
    MOORING_FIRESTORE_DATABASE: z.string().min(1).default('(default)'),
    MOORING_BUCKET: z.string().min(1).optional(),
    MOORING_KMS_KEY: z.string().min(1).optional(),
    MOORING_KMS_ENDPOINT: z.string().min(1).optional(),
    FIRESTORE_EMULATOR_HOST: z.string().min(1).optional(),
    STORAGE_EMULATOR_HOST: z.string().min(1).optional(),
  })
  .superRefine((env, context) => {
    // Control wraps and unwraps nothing.
    const needed = [
      'GOOGLE_CLOUD_PROJECT',
      'MOORING_BUCKET',
      'MOORING_CONTENT_SECRET',
      ...(env.MOORING_ROLE === 'control' ? [] : (['MOORING_KMS_KEY'] as const)),
    ] as const
    if (env.MOORING_ROLE === 'control' && env.MOORING_INBOUND_IDENTITY !== undefined)
      context.addIssue({
        code: 'custom',
        path: ['MOORING_INBOUND_IDENTITY'],
        message: 'is for runners alone; give control MOORING_INBOUND_RECIPIENT',
      })
    if (env.MOORING_EXPORT === 'passphrase' && env.MOORING_EXPORT_RECIPIENTS !== undefined)
      context.addIssue({
        code: 'custom',
        path: ['MOORING_EXPORT_RECIPIENTS'],
        message: 'means nothing while MOORING_EXPORT is passphrase',
      })
    if (env.MOORING_STORE === 'google') {
      for (const name of needed) {
        if (env[name] === undefined)
          context.addIssue({
            code: 'custom',
            path: [name],
            message: 'is needed when MOORING_STORE is google',
          })
      }
      if (env.MOORING_ROLE !== 'runner' && env.MOORING_ADMIN_KEY === undefined) {
        context.addIssue({
          code: 'custom',
          path: ['MOORING_ADMIN_KEY'],
          message: 'is needed when MOORING_STORE is google',
        })
      }
      // Runners write the same database; without a secret of control's own each of them could make API keys.
      if (env.MOORING_ROLE !== 'runner' && env.MOORING_KEY_PEPPER === undefined) {
        context.addIssue({
          code: 'custom',
          path: ['MOORING_KEY_PEPPER'],
          message:
            'is needed by control when MOORING_STORE is google; without it whoever writes the database could make API keys. ' +
            'Any 32 random characters do, the same at every start, and no runner may know them',
        })
      }
    }
    // A runner must have dropped its sockets well before others may take its sessions (docs/design/ownership.md §4.1).
    if (env.MOORING_RENEW_EVERY_MS * RENEW_JITTER_MAX >= env.MOORING_RENEW_WITHIN_MS) {
      context.addIssue({
        code: 'custom',
        path: ['MOORING_RENEW_EVERY_MS'],
        message: `times ${RENEW_JITTER_MAX} (the jitter) must be less than MOORING_RENEW_WITHIN_MS`,
      })
    }
    if (env.MOORING_RENEW_WITHIN_MS >= env.MOORING_LEASE_FOR_MS) {
      context.addIssue({
        code: 'custom',
        path: ['MOORING_RENEW_WITHIN_MS'],
        message: 'must be less than MOORING_LEASE_FOR_MS',
      })
    }
  })

/** Renewals are spread over `renewEveryMs × [1/1.2, 1.2]`, so that a fleet started together does not renew together. */
export const RENEW_JITTER_MAX = 1.2

export type Config = z.infer<typeof schema>

/** @throws CodedError `config`, whose message names each bad setting and what it must be; never its value. */
export function readConfig(env: Record<string, string | undefined>): Config {
  const set = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  )
  const parsed = schema.safeParse(set)
  const unknown = unknownNames(set)
  if (parsed.success && unknown.length === 0) return parsed.data
  const issues = parsed.success ? [] : parsed.error.issues
  const sentences = [
    ...unknown.map((name) => `${name}: is not known; the nearest known name is ${nearest(name, NAMES)}`),
    ...issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
  ]
  throw new CodedError('config', `The settings are not usable. ${sentences.join('; ')}.`)
}

const NAMES = Object.keys(schema.shape)
/** Of the command line, which may share its shell with a server. */
const NAMES_OF_OTHERS = new Set(['MOORING_URL', 'MOORING_API_KEY'])

/** Names that begin as ours do and mean nothing: whoever set one meant something by it, and would wait for it in vain. */
const unknownNames = (set: Record<string, string | undefined>): string[] =>
  Object.entries(set)
    .filter(([name, value]) => name.startsWith('MOORING_') && !isServiceLink(name, value ?? ''))
    .map(([name]) => name)
    .filter((name) => !NAMES.includes(name) && !NAMES_OF_OTHERS.has(name))

/**
 * Kubernetes tells every container where each service is, under the service's name, and one may well be called mooring:
 * kubernetes.io/docs/concepts/services-networking/service, "Environment variables".
 */
const isServiceLink = (name: string, value: string): boolean =>
  /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)/.test(name) ||
  (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value))

/** Every setting with its default, where it has one, for people. */
export const settingsList = (): readonly { name: string; byDefault: string | undefined }[] =>
  Object.entries(schema.shape).map(([name, field]) => {
    const byDefault = field.safeParse(undefined).data
    return { name, byDefault: byDefault === undefined ? undefined : String(byDefault) || undefined }
  })

/** A readable name for this process where none was set. */
export const defaultRunnerName = (): string =>
  hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, 41) || 'runner'
