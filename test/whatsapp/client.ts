import { BufferJSON, proto, type AuthenticationCreds, type SignalDataSet } from '@whiskeysockets/baileys'
import type { FaultInput } from './faults.ts'
import type { DeviceReport, PhoneReport, Report } from './report.ts'
import type { SeededSession, SeedWish } from './seed.ts'
import type { ReceivedText } from './simulated-device.ts'
import type { AcceptedMessage } from './world.ts'

interface Linked {
  readonly device: number
  readonly jid: string
  readonly lid: string
}

/** The stand-in refused; `code` says why (`too_many_devices`, `qr_unknown`, …). */
export class AdminError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export type WhatsAppAdmin = ReturnType<typeof whatsappAdmin>

/** The remote control of a running stand-in, typed. Every call is one HTTP request. */
export function whatsappAdmin(adminUrl: string) {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const answer = await fetch(adminUrl + path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const result = (await answer.json()) as T & { error?: string; message?: string }
    if (!answer.ok) throw new AdminError(result.error ?? 'unknown', result.message ?? answer.statusText)
    return result
  }
  const post = <T = { ok: true }>(path: string, body?: unknown): Promise<T> =>
    call<T>('POST', path, body ?? {})

  return {
    /** Makes a phone; the same number again gives the same phone. */
    phone: (phone: string, name?: string, written?: string) =>
      post<{ phone: string; jid: string; lid: string }>('/phones', { phone, name, written }),
    phoneReport: (phone: string) => call<PhoneReport>('GET', `/phones/${phone}`),
    /** Points the phone's camera at a QR; resolves when the client has countersigned. */
    scan: (phone: string, qr: string) => post<Linked>(`/phones/${phone}/scan`, { qr }),
    /** Types a pairing code into the phone; resolves when the client has countersigned. */
    code: (phone: string, code: string) => post<Linked>(`/phones/${phone}/code`, { code }),
    /** The server asks who shows a code for that phone to ask for another. */
    refreshCode: (phone: string) => post(`/phones/${phone}/refresh-code`),
    send: (phone: string, wish: { to: string; text: string; id?: string; device?: number }) =>
      post<{ id: string }>(`/phones/${phone}/send`, wish),
    sendGroup: (phone: string, wish: { group: string; text: string; id?: string; device?: number }) =>
      post<{ id: string }>(`/phones/${phone}/send-group`, wish),
    /** Starts a burst and answers at once with the ids that it will use, in order. */
    burst: (
      phone: string,
      wish: { to: string; count: number; everyMs?: number; prefix?: string; device?: number },
    ) => post<{ ids: string[] }>(`/phones/${phone}/burst`, wish),
    /** Texts the phone decrypted; `device: 'all'` adds its simulated companions, `own` what its own devices wrote. */
    messages: (phone: string, wish: { device?: number | 'all'; own?: boolean } = {}) =>
      call<ReceivedText[]>(
        'GET',
        `/phones/${phone}/messages?device=${wish.device ?? 0}&own=${wish.own ?? false}`,
      ),
    unlink: (phone: string, device: number) => post(`/phones/${phone}/unlink`, { device }),
    /** Adds a companion that the server plays. */
    companion: (phone: string) => post<Linked>(`/phones/${phone}/companions`),
    /** A phone sends whatever it likes, true or not; `message` is protobuf JSON. */
    forge: (phone: string, wish: { to: string; message: Record<string, unknown>; id?: string }) =>
      post<{ id: string }>(`/phones/${phone}/forge`, wish),
    /** A phone says of a message, of whomever to whomever, that it has it or read it, or asks for it again. */
    forgeReceipt: (phone: string, wish: { to: string; id: string; type: 'read' | 'delivered' | 'retry' }) =>
      post(`/phones/${phone}/forge-receipt`, wish),
    /** Makes a simulated device forget its session with another device. */
    forget: (phone: string, wish: { of: string; device?: number }) => post(`/phones/${phone}/forget`, wish),
    group: (subject: string, participants: readonly string[]) =>
      post<{ id: string }>('/groups', { subject, participants }),
    /** Writes any stanza to a device, through its queue. */
    push: (to: string, node: unknown) => post('/push', { to, node }),
    /** What the page of the web client answers from now on. */
    webPage: (body: string, status = 200) => post('/web-page', { body, status }),
    fault: (fault: FaultInput) => post<{ id?: string; hit: number }>('/faults', fault),
    clearFaults: (id?: string) =>
      call<{ ok: true }>('DELETE', id === undefined ? '/faults' : `/faults/${id}`),
    /** One device's page of the report, for polling. */
    device: (jid: string) => call<DeviceReport>('GET', `/devices/${encodeURIComponent(jid)}`),
    report: () => call<Report>('GET', '/report'),
    resetReport: () => post('/report/reset'),
    /** Messages the server accepted, with the time their bytes came; all of them, or those with one id. */
    accepted: (id?: string) =>
      call<AcceptedMessage[]>('GET', `/messages${id === undefined ? '' : `?id=${encodeURIComponent(id)}`}`),
    seed: (wish: Partial<SeedWish> & { count: number }) =>
      post<{ sessions: SeededSession[] }>('/seed', wish).then(({ sessions }) => sessions),
  }
}

/** Turns a seeded session into what Baileys' `auth` is made of. */
export function revive(session: SeededSession): { creds: AuthenticationCreds; keys: SignalDataSet } {
  const keys = JSON.parse(session.keys, BufferJSON.reviver) as SignalDataSet
  // Their bytes are written as plain base64, which only the protobuf class reads back.
  for (const [id, key] of Object.entries(keys['app-state-sync-key'] ?? {})) {
    keys['app-state-sync-key'] = { [id]: key && proto.Message.AppStateSyncKeyData.fromObject(key) }
  }
  return { creds: JSON.parse(session.creds, BufferJSON.reviver) as AuthenticationCreds, keys }
}
