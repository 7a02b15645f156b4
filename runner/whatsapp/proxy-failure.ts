import { CodedError, hasCode } from '#shared/errors.ts'

/** A proxy that did not let a connection through. */
export interface ProxyFailure {
  /** Which one: scheme, host and port. */
  proxy: string
  /** What it did, as the end of a sentence. */
  why: string
}

/** Its address can't be opened, so nothing is known of where to connect to. */
export class SealedForAnother extends Error {}

/** It answered a CONNECT with another status than 200. */
export class TunnelRefused extends Error {
  readonly status: number
  constructor(status: number) {
    super(`the proxy answered ${status}`)
    this.status = status
  }
}

/** Proxy Authentication Required: RFC 9110 §15.5.8. */
const WRONG_CREDENTIALS = 407

/**
 * What a library threw, in words of ours: its own errors carry the credentials along (`SocksClientError.options`). Pure.
 */
export function whyProxyFailed(error: unknown): string {
  if (error instanceof SealedForAnother)
    return 'is sealed for another identity than this runner has; declare it again'
  if (hasCode(error, 'address_not_allowed')) return 'does not lead to a public address'
  if (hasCode(error, 'address_unknown')) return 'has a name that is not found'
  if (error instanceof CodedError) return `can't be used (${error.code})`
  if (error instanceof TunnelRefused) {
    const why = error.status === WRONG_CREDENTIALS ? 'the credentials' : 'to connect to WhatsApp'
    return `refused ${why} (${error.status})`
  }
  const { name, message, code } = error as { name?: unknown; message?: unknown; code?: unknown }
  if (name === 'AbortError') return 'did not answer in time'
  const text = typeof message === 'string' ? message : ''
  if (/Authentication failed|no accepted authentication type/.test(text)) return 'refused the credentials'
  const reply = /rejected connection - (\w+)/.exec(text)?.[1]
  if (reply !== undefined) return `refused to connect to WhatsApp (${reply})`
  return `could not be reached (${typeof code === 'string' ? code : 'it broke off'})`
}
