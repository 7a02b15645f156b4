import { LRUCache } from 'lru-cache'
import type { Clock } from '#shared/clock.ts'

/**
 * Remembers for a while what was loaded by name; who asks at the same time shares one look. A failed look is not remembered.
 */
export function createRemembered<K extends string, V extends object>(
  clock: Clock,
  options: { max: number; forMs: number; load: (name: K) => Promise<V> },
): { get(name: K): Promise<V>; forget(name: K): void } {
  const known = new LRUCache<K, { value: Promise<V>; atMs: number }>({ max: options.max })
  return {
    get(name) {
      const nowMs = clock.monotonicMs()
      const last = known.get(name)
      if (last && nowMs - last.atMs < options.forMs) return last.value
      const entry = { value: options.load(name), atMs: nowMs }
      known.set(name, entry)
      entry.value.catch(() => {
        if (known.get(name) === entry) known.delete(name)
      })
      return entry.value
    },
    forget(name) {
      known.delete(name)
    },
  }
}
