import { z } from '@hono/zod-openapi'
import { keyOf, removalId } from '#shared/ids.ts'
import type { Removal } from '#shared/store/removal-store.ts'
import { iso, isoOrNull } from './present.ts'
import { Time } from './schemas.ts'

export const RemovalSchema = z
  .object({
    id: z.string(),
    tenant: z.string(),
    session: z.string(),
    life: z.string().nullable(),
    phase: z.enum(['unlinking', 'kept', 'purged', 'still_linked']).openapi({
      description:
        'unlinking: a runner has to work it off. kept: done, with a backup where there was anything to keep. purged: done, ' +
        'and nothing is left. still_linked: done, but the phone still lists the device.',
    }),
    reason: z
      .string()
      .nullable()
      .openapi({ description: 'For still_linked: why, and what a person can do.' }),
    purge: z.boolean(),
    by: z.string(),
    at: Time,
    backup: z.string().nullable().openapi({ description: 'Restore it with POST /v1/backups/{id}/restore.' }),
    until: Time.nullable().openapi({ description: 'When this and the backup are forgotten.' }),
  })
  .openapi('Removal')

type PresentedRemoval = z.infer<typeof RemovalSchema>

export const presentRemoval = (removal: Removal): PresentedRemoval => ({
  id: removalId(keyOf(removal.session)),
  tenant: removal.session.tenant,
  session: removal.session.id,
  life: removal.session.life ?? null,
  phase: removal.phase,
  reason: (removal.phase === 'still_linked' ? removal.unlinkResult?.why : undefined) ?? null,
  purge: removal.purge,
  by: removal.by,
  at: iso(removal.at),
  backup: removal.backup ?? null,
  until: isoOrNull(removal.until),
})
