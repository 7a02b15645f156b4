/** One line of the report: what was measured here, beside what docs/design/promises.md §11 asks for. */
export interface Figure {
  name: string
  value: string
  goal: string
  note: string
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export function table(figures: readonly Figure[]): string {
  const rows = [
    ['figure', 'measured', 'goal', 'note'],
    ...figures.map((one) => [one.name, one.value, one.goal, one.note]),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')).join('\n')
}
