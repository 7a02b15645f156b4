import type { UserFacingSocketConfig } from '@whiskeysockets/baileys'
import { maskPhone, type Log } from '#shared/log.ts'

type BaileysLog = NonNullable<UserFacingSocketConfig['logger']>

/**
 * What Baileys logs, without the objects it logs: they hold stanzas, keys and numbers. `complained` hears the text of every
 * error, logged or not: some of what goes wrong inside is told in no other way.
 */
export function baileysLog(log: Log | undefined, complained?: (text: string) => void): BaileysLog {
  const textOf = (first: unknown, text?: string): string =>
    text ?? (typeof first === 'string' ? first : 'baileys')
  const say =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (first: unknown, text?: string): void =>
      log?.[level]({ detail: maskPhone(textOf(first, text)) }, 'baileys')
  const logger: BaileysLog = {
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
