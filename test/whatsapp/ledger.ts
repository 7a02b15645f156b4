/** The oracle's page for one device. Everything here is counted by the server, nothing is told by the client. */
export interface Ledger {
  logins: number
  loginTimes: number[]
  loginsRefused: number
  open: number
  openMax: number
  /** `<conflict type=replaced>` sent to this device: two connections spoke for it. */
  replaced: number
  accepted: number
  acked: number
  refused: number
  duplicates: number
  resends: number
  /** Recipient devices that a message should have been encrypted for and was not. */
  leftOut: number
  delivered: number
  redelivered: number
  receipted: number
  nacks: Record<string, number>
  retriesSent: number
  retriesReceived: number
  preKeysUploaded: number
  preKeysTaken: number
  bundlesWithoutPreKey: number
  gapsMs: number[]
  closes: number
  /** Monotonic time of the last close, until the next login makes a gap of it. */
  closedAtMs: number | undefined
}

export function emptyLedger(): Ledger {
  return {
    logins: 0,
    loginTimes: [],
    loginsRefused: 0,
    open: 0,
    openMax: 0,
    replaced: 0,
    accepted: 0,
    acked: 0,
    refused: 0,
    duplicates: 0,
    resends: 0,
    leftOut: 0,
    delivered: 0,
    redelivered: 0,
    receipted: 0,
    nacks: {},
    retriesSent: 0,
    retriesReceived: 0,
    preKeysUploaded: 0,
    preKeysTaken: 0,
    bundlesWithoutPreKey: 0,
    gapsMs: [],
    closes: 0,
    closedAtMs: undefined,
  }
}

/** Sets the counters back; what is open now stays open, and a gap that is running keeps running. */
export function resetLedger(ledger: Ledger): void {
  const { open, closedAtMs } = ledger
  Object.assign(ledger, emptyLedger(), { open, openMax: open, closedAtMs })
}

/** A connection of the device logged in. */
export function noteLogin(ledger: Ledger): void {
  ledger.logins++
  ledger.loginTimes.push(Date.now())
  ledger.open++
  ledger.openMax = Math.max(ledger.openMax, ledger.open)
  if (ledger.closedAtMs !== undefined && ledger.open === 1) {
    ledger.gapsMs.push(Math.round((performance.now() - ledger.closedAtMs) * 10) / 10)
  }
  ledger.closedAtMs = undefined
}

/** A logged-in connection of the device ended. A gap starts when it was the last one. */
export function noteClose(ledger: Ledger): void {
  ledger.open--
  ledger.closes++
  if (ledger.open === 0) ledger.closedAtMs = performance.now()
}
