import type { SessionKey } from '../ids.ts'
import type { OutboxMessage } from '../store/outbox-message.ts'
import type { Bodies } from './bodies.ts'

/** What a user asked to send: a union by `type`, with an object of that name. */
export interface OutboxRequest {
  type: 'text'
  text: { body: string }
}

const requestPlace = (id: string): string => `outbox|${id}|request`
const preparedPlace = (id: string): string => `outbox|${id}|prepared`

/** @throws CodedError `store_unavailable`, `not_found` (no such tenant) */
export const sealRequest = (
  bodies: Bodies,
  key: SessionKey,
  id: string,
  request: OutboxRequest,
): Promise<Uint8Array> => bodies.seal(key, requestPlace(id), request)

/** Also of what 341e3f4 accepted, whose text is in clear. @throws CodedError `bad_bytes`, `store_unavailable` */
export async function openRequest(
  bodies: Bodies,
  key: SessionKey,
  { id, request, text }: OutboxMessage,
): Promise<OutboxRequest> {
  if (!request) return { type: 'text', text: { body: text ?? '' } }
  return (await bodies.open(key, requestPlace(id), request)) as OutboxRequest
}

/** The bytes of a WhatsApp message, before it is encrypted for anybody. @throws as `sealRequest` */
export const sealPrepared = (
  bodies: Bodies,
  key: SessionKey,
  id: string,
  prepared: Uint8Array,
): Promise<Uint8Array> => bodies.seal(key, preparedPlace(id), prepared)

/** @throws CodedError `bad_bytes`, `store_unavailable` */
export async function openPrepared(
  bodies: Bodies,
  key: SessionKey,
  id: string,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  return (await bodies.open(key, preparedPlace(id), sealed)) as Uint8Array
}
