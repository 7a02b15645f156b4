import { z } from 'zod'
import type { Stanza } from './stanza.ts'
import type { Line } from './world.ts'

/** Which stanzas a fault is about; an absent field matches all. */
const matcher = z.object({
  tag: z.string().optional(),
  class: z.string().optional(),
  type: z.string().optional(),
  xmlns: z.string().optional(),
  id: z.string().optional(),
})

/** Whom it hits and how often. Without `phone` it hits everyone, without `times` it lasts until it is cleared. */
const target = {
  phone: z.string().optional(),
  device: z.number().int().optional(),
  times: z.number().int().positive().optional(),
}

/**
 * When a fault that ends a connection strikes: on the connections open now, instead of the next `<success>`, or once
 * the client is up and has its backlog.
 */
const when = z.enum(['now', 'login', 'open']).default('now')
const direction = z.enum(['in', 'out']).default('out')

/** Everything that can be broken on command. */
export const faultSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('silence'), ...target }),
  z.object({ kind: z.literal('freeze'), ...target }),
  z.object({ kind: z.literal('cut'), when, ...target }),
  z.object({
    kind: z.literal('stream_error'),
    when,
    code: z.union([z.string(), z.number()]).optional(),
    conflict: z.string().optional(),
    child: z.string().optional(),
    ...target,
  }),
  z.object({ kind: z.literal('xmlstreamend'), when, ...target }),
  z.object({ kind: z.literal('corrupt'), when, ...target }),
  z.object({
    kind: z.literal('failure'),
    reason: z.union([z.string(), z.number()]),
    attrs: z.record(z.string(), z.string()).default({}),
    ...target,
  }),
  z.object({
    kind: z.literal('http'),
    /** 0 never answers the upgrade at all. */
    status: z.number().int(),
    headers: z.record(z.string(), z.string()).default({}),
    times: target.times,
  }),
  z.object({
    kind: z.literal('delay'),
    ms: z.number().nonnegative(),
    direction,
    match: matcher.default({}),
    ...target,
  }),
  z.object({ kind: z.literal('swallow'), direction, match: matcher, ...target }),
  z.object({ kind: z.literal('nack'), error: z.union([z.string(), z.number()]), ...target }),
  z.object({
    kind: z.literal('login_rate'),
    perSecond: z.number().positive(),
    answer: z.enum(['failure', 'http']).default('failure'),
    code: z.number().int().default(503),
    times: target.times,
  }),
  /** The login is under way for so long, and arrives also where its connection is gone by then. */
  z.object({ kind: z.literal('late_login'), ms: z.number().nonnegative(), ...target }),
  /** The scan is answered with the wish for another secret, once a connection; a code, behind its last step. */
  z.object({
    kind: z.literal('new_secret'),
    child: z.enum(['companion_reg_refresh', 'pair-device-rotate-qr']).default('companion_reg_refresh'),
    times: target.times,
  }),
  /** The scan is answered with a passkey challenge. */
  z.object({ kind: z.literal('passkey'), times: target.times }),
  /** No code is given to who asks for one. */
  z.object({
    kind: z.literal('code_refused'),
    error: z.union([z.string(), z.number()]),
    times: target.times,
  }),
  /** Clients of a build below are refused with 405, whatever they want. */
  z.object({ kind: z.literal('old_build'), below: z.number().int(), times: target.times }),
  z.object({
    kind: z.literal('qr_refs'),
    count: z.number().int().nonnegative(),
    /** After this long a shown QR is refused by every phone. */
    lifetimeMs: z.number().positive().optional(),
    times: target.times,
  }),
])

export type Fault = z.infer<typeof faultSchema>
/** What a caller writes: defaults may stay away. */
export type FaultInput = z.input<typeof faultSchema>
type Kind = Fault['kind']
type FaultOf<K extends Kind> = Extract<Fault, { kind: K }>

/** A fault that is set. */
interface ActiveFault {
  readonly id: string
  readonly fault: Fault
  left: number | undefined
}

/** The faults that are set now. */
export interface Faults {
  readonly active: readonly ActiveFault[]
  add(fault: Fault): ActiveFault
  /** Clears one, or all of them. */
  clear(id?: string): void
  /** The first set fault of that kind that hits this connection; using it counts as one of its times. */
  use<K extends Kind>(kind: K, line?: Line, fits?: (fault: FaultOf<K>) => boolean): FaultOf<K> | undefined
  /** The same without counting. */
  has(kind: Kind, line?: Line): boolean
  /** Is there room for one more login in this second? */
  admitLogin(answer: 'failure' | 'http'): number | undefined
}

export function faults(): Faults {
  let active: ActiveFault[] = []
  let ids = 0
  const loginsAt: number[] = []

  const find = <K extends Kind>(kind: K, line?: Line, fits?: (fault: FaultOf<K>) => boolean) =>
    active.find(
      ({ fault }) => fault.kind === kind && hits(fault, line) && (fits?.(fault as FaultOf<K>) ?? true),
    )

  return {
    get active() {
      return active
    },
    add(fault) {
      const entry = { id: `f${++ids}`, fault, left: fault.times }
      active.push(entry)
      return entry
    },
    clear(id) {
      active = id === undefined ? [] : active.filter((entry) => entry.id !== id)
    },
    use(kind, line, fits) {
      if (!active.length) return undefined
      const entry = find(kind, line, fits)
      if (!entry) return undefined
      if (entry.left !== undefined && --entry.left <= 0) active = active.filter((other) => other !== entry)
      return entry.fault as FaultOf<typeof kind>
    },
    has: (kind, line) => active.length > 0 && find(kind, line) !== undefined,
    admitLogin(answer) {
      const limit = find('login_rate', undefined, (fault) => fault.answer === answer)?.fault
      if (limit?.kind !== 'login_rate') return undefined
      const now = performance.now()
      while ((loginsAt[0] ?? now) < now - 1000) loginsAt.shift()
      if (loginsAt.length >= limit.perSecond) return limit.code
      loginsAt.push(now)
      return undefined
    },
  }
}

/** Is this connection the one the fault names? Nothing is known of a connection that has not logged in yet. */
export function hits(fault: Fault, line?: Line): boolean {
  if (!('phone' in fault) || fault.phone === undefined) return true
  if (line?.device?.account.phone !== fault.phone) return false
  return fault.device === undefined || fault.device === line.device.id
}

/** Does the stanza look like what the fault is about? */
export function matches(match: z.infer<typeof matcher>, node: Stanza): boolean {
  if (match.tag !== undefined && match.tag !== node.tag) return false
  return (['class', 'type', 'xmlns', 'id'] as const).every(
    (name) => match[name] === undefined || match[name] === node.attrs[name],
  )
}
