/**
 * A preload that makes Baileys trust the stand-in's root: `node --import ./test/whatsapp/trust.ts …`.
 *
 * rc14 does not need it, because it ignores the answer of its own signature check; a release that checks will. The
 * product never imports this file.
 */
import { WA_CERT_DETAILS } from '@whiskeysockets/baileys'
import { ROOT_PUBLIC_KEY } from './certificate.ts'

/** Exchanges WhatsApp's root for the stand-in's, for this process. Loading the file does it; again is harmless. */
export function trustStandIn(): void {
  ROOT_PUBLIC_KEY.copy(WA_CERT_DETAILS.PUBLIC_KEY)
}

trustStandIn()
