import type { Log } from '#shared/log.ts'

/**
 * libsignal prints to the console when it closes a session, private ratchet keys included (docs/facts/baileys.md §7). In
 * a runner nothing may write there but the log, so every console method is replaced, for the whole process, by one that
 * says only that a library spoke. Calling it twice is harmless.
 */
export function silenceConsole(log: Log): void {
  for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir'] as const) {
    // oxlint-disable-next-line no-console -- this is the one place that touches it, to take it away.
    console[method] = (...words: unknown[]) =>
      log.debug({ method, words: words.length }, 'a library wrote to the console')
  }
}
