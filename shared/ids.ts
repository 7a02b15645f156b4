import { CodedError } from './errors.ts'

/** The name of a tenant: a customer of the operator. */
export type TenantId = string & { readonly brand: 'TenantId' }
/** A session's name inside its tenant, chosen by its owner. */
export type SessionId = string & { readonly brand: 'SessionId' }
/** `tenant~session`: the one key under which every store knows a session. */
export type SessionKey = string & { readonly brand: 'SessionKey' }
/** One process that holds sockets; unique for every start of a process, never used twice. */
export type RunnerId = string & { readonly brand: 'RunnerId' }

/** `~` is left out on purpose: it separates tenant and session in a `SessionKey`. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const NAME_RULE = '1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit'

/** Whether a text that comes from outside, and may be anything, is a name. */
export const isName = (text: string): boolean => NAME.test(text)

/** @throws CodedError `invalid_field` naming `field` when the text is no name. */
function parseName(text: string, field: string): string {
  if (!isName(text)) throw new CodedError('invalid_field', `${field} must be ${NAME_RULE}`, { field })
  return text
}

export const parseTenantId = (text: string, field = 'tenant'): TenantId => parseName(text, field) as TenantId
export const parseSessionId = (text: string, field = 'id'): SessionId => parseName(text, field) as SessionId
export const parseRunnerId = (text: string, field = 'runner'): RunnerId => parseName(text, field) as RunnerId

export const sessionKey = (tenant: TenantId, session: SessionId): SessionKey =>
  `${tenant}~${session}` as SessionKey

/** The two names in a key. Total: a key can only come from `sessionKey` or a store that was given one. */
export function splitKey(key: SessionKey): { tenant: TenantId; session: SessionId } {
  const at = key.indexOf('~')
  return { tenant: key.slice(0, at) as TenantId, session: key.slice(at + 1) as SessionId }
}
