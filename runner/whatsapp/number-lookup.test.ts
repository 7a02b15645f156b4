import { describe, expect, test } from 'vitest'
import { CodedError } from '#shared/errors.ts'
import { fakeClock } from '#test/fake-clock.ts'
import { NUMBER_PREFIX } from '../state/app-records.ts'
import type { Change } from '../state/pending-changes.ts'
import { encodeValue, recordKey } from '../state/record.ts'
import { RecordMap } from '../state/record-map.ts'
import { askByUsync, NumberLookup, type Resolved } from './number-lookup.ts'

const WRITTEN = '5547991234567@s.whatsapp.net'
const ACCOUNT = { jid: '554791234567@s.whatsapp.net', lid: '900000000000001@lid' }
const DAY_MS = 86_400_000

/** What WhatsApp answers, and a state that outlives connections. */
function begin(answer: (digits: string) => Resolved = () => ACCOUNT) {
  const clock = fakeClock()
  const records = new RecordMap()
  const asked: string[] = []
  const failures: Error[] = []
  const journal = {
    set: async (changes: readonly Change[]) => {
      for (const [key, bytes] of changes) records.set(key, bytes)
    },
  }
  const connect = (): NumberLookup =>
    new NumberLookup({ records, journal }, clock, async (digits) => {
      asked.push(digits)
      const failure = failures.shift()
      if (failure) throw failure
      return answer(digits)
    })
  return { clock, records, asked, failures, connect, lookup: connect() }
}

describe('F10: a number', () => {
  test('is the account that WhatsApp says, asked for once, also over the next connections', async () => {
    const { lookup, connect, asked } = begin()
    expect(lookup.accountOf(WRITTEN)).toBe(WRITTEN)
    const answers = await Promise.all([lookup.resolve(WRITTEN), lookup.resolve(WRITTEN)])
    expect(answers).toEqual([ACCOUNT, ACCOUNT])
    const next = connect()
    expect(await next.resolve(WRITTEN)).toEqual(ACCOUNT)
    expect([lookup, next].map((one) => one.accountOf(WRITTEN))).toEqual([ACCOUNT.jid, ACCOUNT.jid])
    expect(asked).toEqual(['5547991234567'])
  })

  test('that is nobody’s is so for a day, and then asked for again', async () => {
    const there: { answer: Resolved } = { answer: 'not_on_whatsapp' }
    const { lookup, clock, asked } = begin(() => there.answer)
    expect(await lookup.resolve(WRITTEN)).toBe('not_on_whatsapp')
    await clock.advance(DAY_MS - 1)
    there.answer = ACCOUNT
    expect(await lookup.resolve(WRITTEN)).toBe('not_on_whatsapp')
    await clock.advance(1)
    expect(await lookup.resolve(WRITTEN)).toEqual(ACCOUNT)
    expect(asked).toHaveLength(2)
  })

  test('without an answer is nothing, and is asked for again', async () => {
    const { lookup, failures, asked } = begin()
    failures.push(new CodedError('no_answer', 'scripted'))
    await expect(lookup.resolve(WRITTEN)).rejects.toMatchObject({ code: 'no_answer' })
    expect(await lookup.resolve(WRITTEN)).toEqual(ACCOUNT)
    expect(asked).toHaveLength(2)
  })

  test('whose LID is known is an account, so nobody is asked', async () => {
    const { lookup, records, asked } = begin()
    records.set(recordKey('lid-mapping', '4915123456789'), encodeValue('900000000000002'))
    const jid = '4915123456789@s.whatsapp.net'
    expect(await lookup.resolve(jid)).toEqual({ jid, lid: '900000000000002@lid' })
    expect(asked).toEqual([])
  })
})

test.for(['900000000000001@lid', '120363041234567890@g.us', 'status@broadcast'])(
  '%s is what it is',
  async (to) => {
    const { lookup, asked } = begin()
    expect(await lookup.resolve(to)).toEqual({ jid: to })
    expect(asked).toEqual([])
  },
)

test('F3: so many numbers are remembered and no more, the latest of them', async () => {
  const { lookup, clock, records, connect } = begin((digits) => ({ jid: `${digits}@s.whatsapp.net` }))
  for (let number = 0; number < 5_000; number++) {
    records.set(`${NUMBER_PREFIX}${4_900_000_000 + number}`, encodeValue({ jid: 'x', at: number }))
  }
  await clock.advance(DAY_MS)
  await lookup.resolve('4999000001@s.whatsapp.net')
  await connect().resolve('4999000002@s.whatsapp.net')
  const kept = [...records.entries(NUMBER_PREFIX)].map(([key]) => key)
  expect(kept).toHaveLength(4_502)
  expect(kept).not.toContain(`${NUMBER_PREFIX}4900000000`)
  expect(kept).toContain(`${NUMBER_PREFIX}4999000002`)
})

test('what WhatsApp does not answer is no answer that a number is nobody’s', async () => {
  const ask = (list: unknown) => askByUsync({ executeUSyncQuery: async () => list as never })('4915123456789')
  await expect(ask(undefined)).rejects.toMatchObject({ code: 'no_answer' })
  await expect(ask({ list: [], sideList: [] })).rejects.toMatchObject({ code: 'no_answer' })
  expect(await ask({ list: [{ id: 'x', contact: false }], sideList: [] })).toBe('not_on_whatsapp')
})
