import type { Removal } from '../store/removal-store.ts'
import { toDataKey } from './session-document.ts'

/** `removals/{key}` {open?, until?, hidden?, removal}: `open` and `until` are there while they are asked for. */
export interface RemovalDocument {
  open?: true
  until?: number
  hidden?: true
  removal: Removal
}

/** The whole document: no field of an earlier one stays. */
export const removalDocument = (removal: Removal): RemovalDocument => ({
  ...(removal.phase === 'unlinking' && { open: true }),
  ...(removal.until !== undefined && { until: removal.until }),
  ...(removal.tenantGone && { hidden: true }),
  removal,
})

export const toRemoval = ({ removal }: RemovalDocument): Removal => ({
  ...removal,
  session: { ...removal.session, dataKeys: removal.session.dataKeys.map(toDataKey) },
})
