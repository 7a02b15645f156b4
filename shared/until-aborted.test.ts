import { expect, test } from 'vitest'
import { untilAborted } from './until-aborted.ts'

const { signal: calm } = new AbortController()

test('ends as the work does', async () => {
  expect(await untilAborted(calm, Promise.resolve('done'))).toBe('done')
  await expect(untilAborted(calm, Promise.reject(new Error('broken')))).rejects.toThrow('broken')
})

test('waits no longer for work that hangs, or fails late, once it is aborted', async () => {
  const stop = new AbortController()
  const work = Promise.withResolvers<void>()
  const waiting = untilAborted(stop.signal, work.promise)
  stop.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  work.reject(new Error('too late'))
  await expect(untilAborted(stop.signal, Promise.resolve())).rejects.toThrow('enough')
})
