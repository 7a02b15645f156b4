import { z } from '@hono/zod-openapi'
import { CodedError } from '#shared/errors.ts'
import { inboundPlace, sealInboundText } from '#shared/sealing/inbound.ts'
import type { ControlContext, Services } from '../http/context.ts'
import type { Found } from './session-access.ts'

const PASSPHRASE = /^[\x20-\x7e]{12,256}$/
/** Bundles, in both directions. */
export const OCTETS = 'application/octet-stream'

export const passphraseHeader = z.object({
  'x-passphrase': z.string().optional().openapi({
    description: '12 to 256 printable ASCII characters. It is sealed before it is stored, for a runner only.',
  }),
})

export const octets = (description: string) => ({
  [OCTETS]: { schema: z.string().openapi({ format: 'binary', description }) },
})

/** Of the request, for a runner only. @throws CodedError `invalid_field` */
export async function sealPassphrase(
  services: Services,
  c: ControlContext,
  found: Found,
  jobId: string,
): Promise<string> {
  const passphrase = c.req.header('x-passphrase') ?? ''
  if (!PASSPHRASE.test(passphrase)) {
    throw new CodedError('invalid_field', 'X-Passphrase must be 12 to 256 printable ASCII characters.', {
      field: 'X-Passphrase',
    })
  }
  const place = inboundPlace(found.key, jobId, 'passphrase')
  return sealInboundText(passphrase, await services.transfer.recipient(), place)
}
