/** Longer names are cut: comparing takes as long as the product of both lengths. */
const CHARACTERS_MAX = 64

/** The one of `known` that needs the fewest letters changed, put in or left out to become `name`; the first of equals. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const ranked = known.map((each) => ({ each, distance: distance(name.slice(0, CHARACTERS_MAX), each) }))
  return ranked.toSorted((a, b) => a.distance - b.distance)[0]?.each
}

/** Levenshtein's distance, row by row. */
function distance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let at = 1; at <= b.length; at++) {
      const exchanged = (above[at - 1] ?? 0) + (a[row - 1] === b[at - 1] ? 0 : 1)
      current.push(Math.min(exchanged, (above[at] ?? 0) + 1, (current[at - 1] ?? 0) + 1))
    }
    above = current
  }
  return above[b.length] ?? a.length
}
