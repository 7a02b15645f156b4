import { startChild } from './child.ts'

/** `mooring doctor` as a process of its own. */
export async function askDoctor(
  dataDir: string,
  ...args: string[]
): Promise<{ code: number | null; text: string }> {
  const child = startChild(['mooring.ts', 'doctor', ...args], { MOORING_DATA_DIR: dataDir })
  const { code } = await child.ended
  return { code, text: child.lines.join('\n') }
}
