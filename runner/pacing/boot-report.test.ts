import { describe, expect, test } from 'vitest'
import { BootReport } from './boot-report.ts'
import { keyOf, recordedLog } from '../runner.fixture.ts'

const START = 1_000
const a = keyOf('a')
const b = keyOf('b')
const c = keyOf('c')
const d = keyOf('d')

function begin() {
  const { log, lines } = recordedLog()
  const told = (message: string) => lines.filter((line) => line.message === message)
  return { report: new BootReport(log, START), told }
}

describe('the boot report', () => {
  test('B2 tells the result once all have come to rest: restored, failed with reasons, rate', () => {
    const { report, told } = begin()
    report.expect([a, b, c, d], START)
    report.note(a, 'connected', undefined, START + 10)
    report.note(b, 'logged_out', 'device_removed', START + 20)
    report.note(c, 'failed', undefined, START + 30)
    expect(told('sessions restored')).toEqual([])
    report.note(d, 'connected', undefined, START + 40)
    expect(told('sessions restored')).toMatchObject([
      {
        restored: 2,
        failed: 2,
        waiting: 0,
        total: 4,
        rate: 0.5,
        reasons: { device_removed: 1, failed: 1 },
        durationMs: 40,
      },
    ])
    report.note(b, 'connected', undefined, START + 50)
    report.tick(START + 5_000)
    expect(told('sessions restored')).toHaveLength(1)
  })

  test('B2 a failure does not hold up the others, and one that comes up after all is restored', () => {
    const { report } = begin()
    report.expect([a, b], START)
    report.note(a, 'backing_off', 'timed_out', START)
    expect(report.counts).toEqual({ restored: 0, failed: 1, waiting: 1, total: 2 })
    report.note(a, 'connecting', undefined, START)
    report.note(a, 'connected', undefined, START)
    expect(report.counts).toEqual({ restored: 1, failed: 0, waiting: 1, total: 2 })
  })

  test('tells its progress once a second, with the time it will take', () => {
    const { report, told } = begin()
    report.expect([a, b, c, d], START)
    report.tick(START + 1_000)
    report.note(a, 'connected', undefined, START + 1_500)
    report.tick(START + 1_900)
    report.tick(START + 2_000)
    expect(told('restoring sessions')).toMatchObject([
      { restored: 0, waiting: 4 },
      { restored: 1, waiting: 3, etaMs: 6_000 },
    ])
    expect(told('restoring sessions')[0]).not.toHaveProperty('etaMs')
  })

  test('what another runner has is not ours to restore', () => {
    const { report, told } = begin()
    report.expect([a, b], START)
    report.note(a, 'connected', undefined, START)
    report.elsewhere(b)
    report.elsewhere(b)
    report.tick(START + 1_000)
    expect(told('sessions restored')).toMatchObject([{ restored: 1, total: 1, rate: 1 }])
  })

  test('sessions that were not to be restored are left out', () => {
    const { report } = begin()
    report.expect([a], START)
    report.note(b, 'connected', undefined, START)
    expect(report.counts).toEqual({ restored: 0, failed: 0, waiting: 1, total: 1 })
  })

  test('with nothing to restore it is done at once', () => {
    const { report, told } = begin()
    report.expect([], START)
    expect(told('sessions restored')).toMatchObject([{ total: 0, rate: 1 }])
  })
})
