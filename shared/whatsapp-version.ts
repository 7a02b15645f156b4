/** Which of two versions (three numbers with dots) is the newer one: above 0 when it is `a`. Pure. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)]
  const at = left.findIndex((part, index) => part !== right[index])
  return at === -1 ? 0 : (left[at] ?? 0) - (right[at] ?? 0)
}

/** The newer one of two. Pure. */
export const newerVersion = (a: string, b: string): string => (compareVersions(a, b) >= 0 ? a : b)
