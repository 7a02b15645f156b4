import { CodedError } from './errors.ts'

/** The name of a tenant: a customer of the operator. */
export type TenantId = string & { readonly brand: 'TenantId' }
/** A session's name inside its tenant, chosen by its owner. */
export type SessionId = string & { readonly brand: 'SessionId' }
/** `tenant~session`: under it the record stands that says which life the name has now. Lives share it, and nothing else. */
export type SessionName = string & { readonly brand: 'SessionName' }
/** One use of a session's name; made by control with the session, never used twice. */
export type LifeId = string & { readonly brand: 'LifeId' }
/**
 * `tenant~session~life`: the one key under which every store but that of the sessions knows a session. Without a life
 * (`tenant~session`) it is that of a session made before there were lives.
 */
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

export const sessionName = (tenant: TenantId, session: SessionId): SessionName =>
  `${tenant}~${session}` as SessionName

export const sessionKey = (tenant: TenantId, session: SessionId, life?: LifeId): SessionKey =>
  (life === undefined ? `${tenant}~${session}` : `${tenant}~${session}~${life}`) as SessionKey

/** The key of a session as it is stored. */
export const keyOf = (session: { tenant: TenantId; id: SessionId; life?: LifeId }): SessionKey =>
  sessionKey(session.tenant, session.id, session.life)

/** What a key is made of. Total: a key can only come from this file or a store that was given one. */
export function splitKey(key: SessionKey): { tenant: TenantId; session: SessionId; life?: LifeId } {
  const [tenant = '', session = '', life] = key.split('~')
  return {
    tenant: tenant as TenantId,
    session: session as SessionId,
    ...(life !== undefined && { life: life as LifeId }),
  }
}

/** The name that a key is a life of. */
export function nameOfKey(key: SessionKey): SessionName {
  const { tenant, session } = splitKey(key)
  return sessionName(tenant, session)
}

/** How a removal is called inside its tenant: the key without it. */
export const removalId = (key: SessionKey): string => key.slice(key.indexOf('~') + 1)

/** Where the objects of a session lie in the blob store, below a folder for their kind. */
export const folderOf = (key: SessionKey): string => key.replace('~', '/')

/** The key of a tenant's own audit trail: what is to be told of it when the session it was about is gone. */
export const tenantTrail = (tenant: TenantId): SessionKey => `${tenant}~` as SessionKey

/** A jid without its device: `4917…:3@s.whatsapp.net` is `4917…@s.whatsapp.net`. */
export const bareJid = (jid: string): string => jid.replace(/:\d+@/, '@')
