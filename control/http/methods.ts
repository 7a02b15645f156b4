import type { ControlApp } from './context.ts'

/** The methods that are declared for an address, in alphabetical order; HEAD goes wherever GET does. */
export function methodsOf(app: ControlApp, address: string): readonly string[] {
  const found = app.routes
    .filter(({ method, path }) => method !== 'ALL' && patternOf(path).test(address))
    .map(({ method }) => method)
  return [...new Set(found.includes('GET') ? [...found, 'HEAD'] : found)].toSorted()
}

/** Paths are ours: names with a colon between slashes, and nothing that means something in a pattern but the dot. */
const patternOf = (path: string): RegExp =>
  new RegExp(`^${path.replaceAll('.', String.raw`\.`).replaceAll(/:[^/]+/g, '[^/]+')}$`)
