import { expect, test } from 'vitest'
import { fleetVersionText } from './fleet-version.ts'

const SINCE = Date.UTC(2026, 10, 1)
const inUse = { version: '2.3000.1043857760', since: SINCE }
const LATER = SINCE + 86_400_000

test('F11: of a fleet that nobody has looked at nothing is said', () => {
  expect(fleetVersionText(undefined, LATER)).toBeUndefined()
})

test('F11: the version in use is said, with the current one; a little behind is no problem', () => {
  const current = { version: '2.3000.1044857760', at: LATER }
  expect(fleetVersionText({ inUse, current }, LATER)).toEqual({
    says: 'WhatsApp version: 2.3000.1043857760, since 2026-11-01; the web client was at 2.3000.1044857760 on 2026-11-02',
  })
})

test('F11: an old build is warned of, and one that was refused', () => {
  const current = { version: '2.3000.1048857760', at: LATER }
  expect(fleetVersionText({ inUse, current }, LATER)?.problem).toContain('is old')
  expect(
    fleetVersionText({ inUse, refused: { version: inUse.version, at: LATER } }, LATER)?.problem,
  ).toContain('refused the version 2.3000.1043857760')
  // That is over once another one is in use.
  const refused = { version: '2.3000.1', at: LATER }
  expect(fleetVersionText({ inUse, refused }, LATER)).not.toHaveProperty('problem')
})

test('F11: a page that can’t be read is said, with why', () => {
  const trouble = { why: 'other_form', at: LATER }
  expect(fleetVersionText({ inUse, trouble }, LATER)?.says).toContain(
    'could not be read on 2026-11-02 (other_form)',
  )
})
