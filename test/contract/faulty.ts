/** The names of an object's methods. */
type MethodOf<T> = {
  [Name in keyof T]: T[Name] extends (...args: never[]) => unknown ? Name : never
}[keyof T] &
  string

/**
 * What goes wrong with one call:
 * - `fail_before`: it rejects, and the store was never asked;
 * - `fail_after`: the store did it, and the answer is lost: the caller can't know;
 * - `delay`: it waits for `until` before the store is asked, or after it answered;
 * - `stale`: it answers what the last call of the method with the same arguments answered, if there was one;
 * - `none`: nothing, so that a list of faults can name the call that it means.
 */
type Fault =
  | { kind: 'fail_before'; error: Error }
  | { kind: 'fail_after'; error: Error }
  | { kind: 'delay'; until: Promise<unknown>; when?: 'before' | 'after' }
  | { kind: 'stale' }
  | { kind: 'none' }

/**
 * The faults of each method: one for every call, or a list for the next calls, of which each takes the first (a method
 * without any works). Read at each call, so a test may change it between calls.
 */
export type Script<T> = { [Name in MethodOf<T>]?: Fault | Fault[] }

/** A working store with the faults of a script. Its fault model is the list above; nothing else ever goes wrong. */
export function faulty<T extends object>(store: T, script: Script<T>): T {
  const earlier = new Map<string, unknown>()
  return new Proxy(store, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver)
      if (typeof member !== 'function' || typeof name !== 'string') return member
      return (...args: unknown[]) => {
        const fault = nextFault(script, name as MethodOf<T>)
        const same = callOf(name, args)
        if (fault.kind === 'stale' && earlier.has(same)) return Promise.resolve(earlier.get(same))
        const answer = withFault(() => Reflect.apply(member, target, args) as unknown, fault)
        if (answer instanceof Promise) answer.then((value) => earlier.set(same, value), ignore)
        return answer
      }
    },
  })
}

function nextFault<T>(script: Script<T>, name: MethodOf<T>): Fault {
  const faults: Fault | Fault[] | undefined = script[name]
  const fault = Array.isArray(faults) ? faults.shift() : faults
  return fault ?? { kind: 'none' }
}

/** Functions and bytes in the arguments make no difference here. */
const callOf = (name: string, args: readonly unknown[]): string => `${name} ${JSON.stringify(args)}`

const ignore = (): void => {}

function withFault(call: () => unknown, fault: Fault): unknown {
  if (fault.kind === 'fail_before') return eitherWay(Promise.reject(fault.error), call)
  if (fault.kind === 'delay' && fault.when !== 'after')
    return eitherWay(fault.until.then(call), call, fault.until)
  const answer = call()
  if (fault.kind === 'fail_after') return afterwards(answer, () => Promise.reject(fault.error))
  if (fault.kind === 'delay') return afterwards(answer, () => fault.until)
  return answer
}

/** What was called already: a promise or an async iterable, followed by `then`. */
function afterwards(answer: unknown, then: () => Promise<unknown>): unknown {
  if (answer instanceof Promise) return answer.then(async (value: unknown) => (await then(), value))
  return (async function* () {
    yield* answer as AsyncIterable<unknown>
    await then()
  })()
}

/**
 * What is not called yet, so that nothing tells whether a promise or an async iterable would come: the promise `first`,
 * which can be iterated as well. Who iterates it waits for `until` (or is refused as `first` is) and then gets the values.
 */
function eitherWay(first: Promise<unknown>, call: () => unknown, until: Promise<unknown> = first): unknown {
  return Object.assign(first, {
    async *[Symbol.asyncIterator]() {
      await until
      yield* call() as AsyncIterable<unknown>
    },
  })
}
