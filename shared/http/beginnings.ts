import { FairQueue } from '../fair-queue.ts'

/**
 * Answers nothing when work may begin at once; otherwise what resolves when its turn has come. Whatever comes while one turn of
 * the event loop lasts is one stretch for everybody else: 1,500 small requests at once held it for 430 ms. So only so many begin
 * in a turn, and timers, sockets and other people's answers come in between.
 */
export type Beginnings = (who: string) => Promise<void> | undefined

/** `who` asks counts where more come than may begin: they are served in turn, each in the order in which it came. */
export function createBeginnings(perTurn: number): Beginnings {
  const waiting = new FairQueue<() => void>()
  let begun = 0
  let endsTurn = false

  function endTurn(): void {
    endsTurn = false
    begun = 0
    while (begun < perTurn) {
      const begin = waiting.next()
      if (!begin) return
      count()
      begin()
    }
  }

  function count(): void {
    begun += 1
    if (endsTurn) return
    endsTurn = true
    setImmediate(endTurn)
  }

  return (who) => {
    if (begun < perTurn) {
      count()
      return undefined
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.push(who, resolve)
    return promise
  }
}
