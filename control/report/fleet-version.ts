import type { FleetVersion } from '#shared/store/fleet-store.ts'
import { iso } from '../present/present.ts'

/**
 * The last of the three numbers grew by some 1.2 million a month from 2024 to 2026 (reckoned from the builds that releases of
 * Baileys were made for); WhatsApp refuses builds that are older than a few months, at times that nobody announces.
 */
const OLD_BUILDS = 3_600_000

/** While it is refused a session tries at least every quarter of an hour (runner/pacing/breaker.ts). */
const REFUSED_FOR_MS = 3_600_000

const buildOf = (version: string): number => Number(version.split('.')[2])
const day = (ms: number): string => iso(ms).slice(0, 10)

/** Which version of WhatsApp's client the fleet is, a sentence for people, and what a person should look at. Pure. */
export function fleetVersionText(
  known: FleetVersion | undefined,
  nowMs: number,
): { says: string; problem?: string } | undefined {
  if (!known) return undefined
  const { inUse, current, trouble, refused } = known
  const says = [
    `WhatsApp version: ${inUse.version}, since ${day(inUse.since)}`,
    ...(current ? [`the web client was at ${current.version} on ${day(current.at)}`] : []),
    ...(trouble
      ? [`its page could not be read on ${day(trouble.at)} (${trouble.why}), so the one in use stays`]
      : []),
  ].join('; ')
  if (refused?.version === inUse.version && nowMs - refused.at < REFUSED_FOR_MS)
    return {
      says,
      problem: `WhatsApp refused the version ${inUse.version} on ${day(refused.at)}; update Mooring`,
    }
  const behind = current ? buildOf(current.version) - buildOf(inUse.version) : 0
  return behind > OLD_BUILDS
    ? {
        says,
        problem: `the WhatsApp version ${inUse.version} is old and may be refused soon; update Mooring`,
      }
    : { says }
}
