import { describe, expect, test } from 'vitest'
import { recordedLog } from '../../runner.fixture.ts'
import { baileysLog } from './baileys-log.ts'
import { allSources } from './library.fixture.ts'

describe('what Baileys logs', () => {
  test('is its text, without the objects that hold stanzas and keys, and without numbers', () => {
    const { log, lines } = recordedLog()
    const baileys = baileysLog(log)
    baileys.warn({ node: 'secret' }, 'failed for 491701234567@s.whatsapp.net')
    baileys.error('plain text of 491701234567')
    baileys.info({ creds: 'secret' })
    expect(lines).toMatchObject([
      { level: 40, message: 'baileys', detail: 'failed for 49••••••••67@s.whatsapp.net' },
      { level: 50, message: 'baileys', detail: 'plain text of 49••••••••67' },
      { level: 30, message: 'baileys', detail: 'baileys' },
    ])
    expect(JSON.stringify(lines)).not.toMatch(/secret|1701234567/)
  })

  test('keeps its level in every child, and traces nothing', () => {
    const { log, lines } = recordedLog()
    const child = baileysLog(log).child({ class: 'noise', key: 'secret' })
    child.trace({ frame: 'secret' }, 'recv')
    child.debug('hello')
    expect(lines).toMatchObject([{ level: 20, detail: 'hello' }])
    expect(child.level).toBe(log.level)
  })

  test('is heard where it complains, with a log or without', () => {
    const heard: string[] = []
    for (const log of [recordedLog().log, undefined]) {
      const baileys = baileysLog(log, (text) => heard.push(text))
      baileys.child({}).error({ node: 'secret' }, 'first')
      baileys.error('second')
      baileys.warn('no complaint')
    }
    expect(heard).toEqual(['first', 'second', 'first', 'second'])
  })

  test('is nothing at all without a log', () => {
    const baileys = baileysLog(undefined)
    baileys.error('nobody reads this')
    expect(baileys.child({}).level).toBe('silent')
  })

  test('comes from no method of a logger but these', () => {
    const asked = allSources().flatMap((text) => [...text.matchAll(/\blogger\??\.(?!js)(\w+)/g)])
    const methods = new Set(asked.map(([, method]) => method))
    expect(methods).toEqual(new Set(Object.keys(baileysLog(undefined))))
  })
})
