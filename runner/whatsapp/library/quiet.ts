import type { ILogger } from '@whiskeysockets/baileys/lib/Utils/logger.js'
import { maskPhone, type Log } from '#shared/log.ts'

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

/**
 * What Baileys logs, without the objects it logs: they hold stanzas, keys and numbers. `complained` hears the text of every
 * error, logged or not: some of what goes wrong inside is told in no other way.
 */
export function baileysLog(log: Log | undefined, complained?: (text: string) => void): ILogger {
  const textOf = (first: unknown, text?: string): string =>
    text ?? (typeof first === 'string' ? first : 'baileys')
  const say =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (first: unknown, text?: string): void =>
      log?.[level]({ detail: maskPhone(textOf(first, text)) }, 'baileys')
  const logger: ILogger = {
    level: log?.level ?? 'silent',
    child: () => logger,
    trace: () => undefined,
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: (first: unknown, text?: string) => {
      complained?.(textOf(first, text))
      say('error')(first, text)
    },
  }
  return logger
}
