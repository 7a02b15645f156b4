import { randomBytes } from 'node:crypto'
import type { AuthenticationCreds, BinaryNode, WASocket } from '@whiskeysockets/baileys'
import type { Clock } from '#shared/clock.ts'
import { askForCode } from './library/pairing-code.ts'
import { hideStanza } from './library/hidden-stanza.ts'
import { withSecret } from './library/qr-secret.ts'
import type { SocketEvents, UnaskedClose } from './socket.ts'

export interface LinkingDeps {
  line: Pick<WASocket, 'ws' | 'sendNode' | 'query'>
  creds: AuthenticationCreds
  browser: readonly [string, string, string]
  clock: Clock
  /** The credentials were changed: nothing leaves before that is durable (`wire-guard.ts`). */
  changed: () => void
  events: Pick<SocketEvents, 'qr' | 'secretChanged' | 'codeOutdated'>
  /** This connection can't link anybody, for that reason. */
  end: (report: UnaskedClose) => void
}

/** The first QR lives a minute, each following one 20 s (docs/facts/baileys.md §4.1). */
const FIRST_QR_MS = 60_000
const NEXT_QR_MS = 20_000
/** WhatsApp itself refuses a number that asks for codes again and again, for hours; so many are somebody who tries in earnest. */
const CODES_MAX = 5
/** Either of them says that it is the secret that is to be exchanged (docs/facts/whatsapp-2026.md §1). */
const REFRESH = new Set(['companion_reg_refresh', 'pair-device-rotate-qr'])

/**
 * What WhatsApp asks of a connection that links a device, and rc14 does not know (docs/facts/whatsapp-2026.md §1): another
 * secret, a passkey, another code. Nothing of it concerns a device that is linked.
 */
export class Linking {
  readonly #deps: LinkingDeps
  #shown: { text: string; untilMs: number } | undefined
  #qrs = 0
  #codes = 0
  /** The code was typed: both sides derive the secret from it, and what links them must find that one. */
  #isCodeTyped = false

  constructor(deps: LinkingDeps) {
    this.#deps = deps
  }

  /** The library made a QR. */
  qr(text: string): void {
    const { clock, creds, events } = this.#deps
    const forMs = this.#qrs++ === 0 ? FIRST_QR_MS : NEXT_QR_MS
    this.#shown = { text, untilMs: clock.monotonicMs() + forMs }
    events.qr(withSecret(text, creds.advSecretKey), forMs)
  }

  /**
   * A code to type into that phone, once WhatsApp has taken it. Answers nothing where it refused; the connection then ends
   * with the reason. @throws Error when the connection ends first
   */
  async code(phone: string): Promise<string | undefined> {
    const { line, creds, browser, changed, end } = this.#deps
    this.#isCodeTyped = false
    if (this.#codes++ >= CODES_MAX) {
      end(codeRefused(undefined, 'WhatsApp wanted another code too often'))
      return undefined
    }
    const answer = await askForCode(line, creds, { phone, browser, changed })
    if ('code' in answer) return answer.code
    end(codeRefused(answer.refused, 'WhatsApp did not answer'))
    return undefined
  }

  /** To be called with every stanza, before the library sees it. */
  came(stanza: BinaryNode): void {
    if (stanza.tag !== 'notification' || this.#deps.creds.account) return
    const children = Array.isArray(stanza.content) ? stanza.content : []
    const { type } = stanza.attrs
    if (type === 'passkey_prologue_request') this.#passkey(stanza)
    if (type === 'companion_reg_refresh' && children.some(({ tag }) => REFRESH.has(tag)))
      this.#exchangeSecret(stanza)
    if (type === 'link_code_companion_reg')
      this.#codeStage(stanza, children.find(({ tag }) => tag === type)?.attrs['stage'])
  }

  /** The connection, the identity and the reference stay; the phone scans again (F7). */
  #exchangeSecret(stanza: BinaryNode): void {
    const { creds, changed, clock, events } = this.#deps
    if (!this.#isCodeTyped) {
      creds.advSecretKey = randomBytes(32).toString('base64')
      changed()
    }
    void this.#acknowledge(stanza)
    if (this.#isCodeTyped || !this.#shown) return
    const { text, untilMs } = this.#shown
    events.qr(withSecret(text, creds.advSecretKey), Math.max(0, untilMs - clock.monotonicMs()))
    events.secretChanged()
  }

  /** Only a page of WhatsApp's own can answer it, so no QR of this window will ever link anybody (F8). */
  #passkey(stanza: BinaryNode): void {
    const { end } = this.#deps
    const report = {
      by: 'server',
      linking: 'passkey_required',
      message: 'WhatsApp asks for a passkey',
    } as const
    void this.#acknowledge(stanza).then(() => end(report))
  }

  #codeStage(stanza: BinaryNode, stage: string | undefined): void {
    if (stage !== 'refresh_code') {
      this.#isCodeTyped = true
      return
    }
    void this.#acknowledge(stanza)
    this.#deps.events.codeOutdated()
  }

  /** rc14 acknowledges nothing before it is linked. A connection that ends meanwhile needs none. */
  #acknowledge(stanza: BinaryNode): Promise<void> {
    return hideStanza(this.#deps.line, stanza)
      .acknowledge()
      .catch(() => undefined)
  }
}

const codeRefused = (status: number | undefined, message: string): UnaskedClose => ({
  by: 'server',
  linking: 'code_refused',
  status,
  message,
})
