import type { Phase } from '#shared/session.ts'
import { QR_ENDED } from '../whatsapp/library/sentences.ts'
import type { UnaskedClose } from '../whatsapp/socket.ts'

/** What a close means. The reason decides, not the code that retries. */
export interface Verdict {
  /** One word for it, stable: it is in the status, in events and in metrics. */
  why: string
  credentials: 'keep' | 'archive' | 'none'
  next:
    | { do: 'reconnect' } // at once, not a failure
    | { do: 'back_off'; triesMax?: number } // counts as a failure; past `triesMax` in a row it ends in `failed`
    | { do: 'arbitrate' } // ownership is presumed lost: who has it now?
    | { do: 'block'; phase: Phase; forMs?: number } // until a person, or for a time
    | { do: 'unpaired'; note: string } // the window is over, for this reason
  /** We gave it up without a word of the server: a login that was sent before may still arrive. */
  loginMayBeLate?: boolean
  /** More than the word, for people: a half sentence without a full stop. */
  reason?: string
  /** A person should hear of it at once. */
  alert: boolean
  /** It concerns the whole fleet: stop all connects, or slow them down. */
  fleet?: 'outdated' | 'trouble'
}

interface Row {
  when: (close: UnaskedClose) => boolean
  verdict: Verdict | ((close: UnaskedClose) => Verdict)
}

/** Unknown causes are tried like server trouble, five times (docs/facts/baileys.md §1.2). */
const UNKNOWN_TRIES = 5
/** "Account or configuration" causes: retrying can't help and may look abusive. */
const REFUSED_TRIES = 3
/** How long a temporary ban is taken to last when the server does not say. */
const BAN_UNKNOWN_MS = 3_600_000

const block = (why: string, phase: Phase, alert: boolean): Verdict => ({
  why,
  credentials: 'archive',
  next: { do: 'block', phase },
  alert,
})
const backOff = (why: string, more: Partial<Verdict> = {}): Verdict => ({
  why,
  credentials: 'keep',
  next: { do: 'back_off' },
  alert: false,
  ...more,
})
const unpaired = (why: string, note: string): Verdict => ({
  why,
  credentials: 'none',
  next: { do: 'unpaired', note },
  alert: false,
})
const status =
  (...codes: number[]) =>
  (close: UnaskedClose): boolean =>
    close.status !== undefined && codes.includes(close.status)

const network =
  (codes: RegExp) =>
  (close: UnaskedClose): boolean =>
    close.network !== undefined && codes.test(close.network)
const answers = ({ http }: UnaskedClose): string =>
  `the address of WhatsApp answers HTTP ${http} instead of opening a connection`

/** What the numbers of a refused code mean is reported, not documented (docs/facts/whatsapp-2026.md §1.2). */
const CODE_REFUSALS: Readonly<Record<number, string>> = {
  400: 'WhatsApp does not take the request (400); look at the number',
  404: 'WhatsApp does not know this number (404); look at it, with its country code',
  429: 'too many codes were asked for this number (429); wait some hours, or scan a QR instead',
}

const codeRefused = ({ status: code, message }: UnaskedClose): Verdict => {
  const known = code === undefined ? message : (CODE_REFUSALS[code] ?? `WhatsApp refuses it (${code})`)
  return unpaired('code_refused', `code_refused: ${known}; then open another window`)
}

/**
 * One row a reason, the first that fits decides. It looks at the status *and* the data *and* the message, since 408 has six
 * causes and 440 covers two conflicts (docs/facts/baileys.md §1.1).
 */
export const CLOSE_TABLE: Readonly<Record<string, Row>> = {
  passkey_required: {
    when: ({ linking }) => linking === 'passkey_required',
    verdict: unpaired(
      'passkey_required',
      'passkey_required: WhatsApp asks this account for a passkey, which can’t be answered from here; where the account can do ' +
        'without one, remove it on the phone, then open another window',
    ),
  },
  code_refused: { when: ({ linking }) => linking === 'code_refused', verdict: codeRefused },
  // Before all others: what the proxy said, or did not say, is no word of WhatsApp's.
  proxy_failed: {
    when: ({ proxy }) => proxy !== undefined,
    verdict: ({ proxy }) => backOff('proxy_failed', { reason: `the proxy ${proxy?.proxy} ${proxy?.why}` }),
  },
  http_trouble: {
    when: ({ http }) => http !== undefined && (http === 429 || http >= 500),
    verdict: (close) => backOff('http_trouble', { fleet: 'trouble', reason: answers(close) }),
  },
  http_refused: {
    when: ({ http }) => http !== undefined,
    verdict: (close) =>
      backOff('http_refused', {
        next: { do: 'back_off', triesMax: REFUSED_TRIES },
        reason: answers(close),
      }),
  },
  name_not_found: {
    when: network(/^(ENOTFOUND|EAI_\w+|ENODATA)$/),
    verdict: backOff('name_not_found', {
      reason: 'the name of WhatsApp’s server can’t be looked up; look at the DNS of this machine',
    }),
  },
  connection_refused: {
    when: network(/^ECONNREFUSED$/),
    verdict: backOff('connection_refused', {
      reason: 'the connection to WhatsApp is refused; look at firewalls and proxies',
    }),
  },
  no_route: {
    when: network(/^(ENETUNREACH|EHOSTUNREACH|ENETDOWN|EHOSTDOWN|EADDRNOTAVAIL)$/),
    verdict: backOff('no_route', {
      reason: 'there is no way from this machine to WhatsApp; look at its network',
    }),
  },
  // Of TLS, by OpenSSL's names as Node gives them; and of WhatsApp's own handshake, which rc14 says in words alone.
  certificate: {
    when: (close) =>
      network(
        /^(CERT_\w+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|ERR_TLS_\w+|ERR_SSL_\w+|HOSTNAME_MISMATCH|EPROTO)$/,
      )(close) ||
      (close.status === 400 && /certificat/.test(close.message)),
    verdict: backOff('certificate', {
      reason:
        'who answers for WhatsApp can’t prove to be it (certificate); look at what stands in between, and at the clock',
    }),
  },
  device_removed: {
    when: ({ conflict }) => conflict === 'device_removed',
    verdict: block('device_removed', 'logged_out', true),
  },
  replaced: {
    when: (close) => close.conflict === 'replaced' || close.status === 440,
    verdict: { why: 'replaced', credentials: 'keep', next: { do: 'arbitrate' }, alert: true },
  },
  restart_required: {
    when: status(515),
    verdict: { why: 'restart_required', credentials: 'keep', next: { do: 'reconnect' }, alert: false },
  },
  qr_ended: {
    when: (close) => close.status === 408 && close.message.includes(QR_ENDED),
    verdict: unpaired('qr_ended', 'nobody scanned the code in time; open another window'),
  },
  timed_out: {
    when: status(408),
    verdict: backOff('timed_out', { loginMayBeLate: true, reason: 'WhatsApp does not answer' }),
  },
  connection_closed: {
    when: status(428),
    verdict: backOff('connection_closed', {
      reason: 'WhatsApp, or what stands in between, ended the connection',
    }),
  },
  logged_out: { when: status(401), verdict: block('logged_out', 'logged_out', true) },
  temporary_ban: {
    when: status(402),
    verdict: ({ attributes }) => {
      const expireS = Number(attributes?.['expire'])
      const forMs = Number.isFinite(expireS) && expireS > 0 ? expireS * 1000 : BAN_UNKNOWN_MS
      return {
        why: 'temporary_ban',
        credentials: 'keep',
        next: { do: 'block', phase: 'restricted', forMs },
        alert: true,
      }
    },
  },
  banned: { when: status(403, 406), verdict: block('banned', 'banned', true) },
  outdated: {
    when: status(405),
    verdict: {
      why: 'outdated',
      credentials: 'keep',
      next: { do: 'back_off' },
      alert: true,
      fleet: 'outdated',
      reason: 'WhatsApp refuses the version of its client that Mooring is (405)',
    },
  },
  refused: {
    when: (close) => close.status !== undefined && close.status >= 400 && close.status < 500,
    verdict: ({ status: code }) =>
      backOff('refused', {
        next: { do: 'back_off', triesMax: REFUSED_TRIES },
        reason: `WhatsApp refuses this client (${code})`,
      }),
  },
  unavailable: {
    when: status(503),
    verdict: backOff('unavailable', {
      fleet: 'trouble',
      reason: 'WhatsApp says that it is unavailable (503)',
    }),
  },
  server_trouble: {
    when: status(500, 501, 502, 504),
    verdict: backOff('server_trouble', { reason: 'WhatsApp, or the connection to it, failed' }),
  },
  watchdog: {
    when: ({ by }) => by === 'watchdog',
    verdict: backOff('watchdog', { loginMayBeLate: true, reason: 'WhatsApp does not answer' }),
  },
  unknown: {
    when: () => true,
    verdict: backOff('unknown', { next: { do: 'back_off', triesMax: UNKNOWN_TRIES } }),
  },
}

/** Pure and total. */
export function judgeClose(close: UnaskedClose): Verdict {
  for (const row of Object.values(CLOSE_TABLE)) {
    if (row.when(close)) return typeof row.verdict === 'function' ? row.verdict(close) : row.verdict
  }
  throw new Error('the last row of the close table fits everything')
}
