import { randomBytes } from 'node:crypto'
import {
  aesDecryptCTR,
  aesDecryptGCM,
  aesEncryptCTR,
  derivePairingCodeKey,
  hkdf,
  type proto,
} from '@whiskeysockets/baileys'
import { notificationId } from './accounts.ts'
import { parseJid } from './address.ts'
import { newKeyPair, sharedKey } from './curve.ts'
import { link } from './linking.ts'
import { Refused } from './refused.ts'
import { bytes, child, seconds, SERVER, stanza, type Stanza } from './stanza.ts'
import type { Account, Device, Line, World } from './world.ts'

/** whatsmeow assumes six references, which rc14 shows for 160 s in all. */
const REFS = 6
const REF_BYTES = 32

/** Starts a registration: keeps what the client said about itself and offers it references to show as QR codes. */
export function offerPairing(
  world: World,
  line: Line,
  payload: proto.IClientPayload,
  noiseKey: Buffer,
): void {
  const data = payload.devicePairingData
  if (!data?.eIdent || !data.eRegid || !data.eSkeyId || !data.eSkeyVal || !data.eSkeySig) {
    line.send(stanza('failure', { reason: '400', location: 'frc' }))
    line.close()
    return
  }
  const limits = world.faults.use('qr_refs')
  const until =
    limits?.lifetimeMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + limits.lifetimeMs
  const refs = Array.from(
    { length: limits?.count ?? REFS },
    () => `2@${randomBytes(REF_BYTES).toString('base64')}`,
  )
  line.registration = {
    noiseKey,
    platform: 'web',
    refs: new Map(refs.map((ref) => [ref, { until }])),
    acknowledged: new Set(),
    keys: {
      registrationId: Buffer.from(data.eRegid).readUInt32BE(),
      identity: Buffer.from(data.eIdent),
      signedPreKey: {
        id: Buffer.from(data.eSkeyId).readUIntBE(0, 3),
        value: Buffer.from(data.eSkeyVal),
        signature: Buffer.from(data.eSkeySig),
      },
    },
  }
  line.send(
    stanza('iq', { from: SERVER, type: 'set', id: notificationId(), xmlns: 'md' }, [
      stanza(
        'pair-device',
        {},
        refs.map((ref) => stanza('ref', {}, Buffer.from(ref))),
      ),
    ]),
  )
}

/** The phone's camera: links the client whose QR this is. */
export async function scan(world: World, account: Account, qr: string): Promise<Device> {
  const [ref, noiseKey, identity, advSecret] = (qr.split('#').at(-1) ?? '').split(',')
  if (!ref || !noiseKey || !identity || !advSecret) {
    throw new Refused(400, 'not_a_qr', 'this text is no WhatsApp QR code')
  }
  const line = [...world.lines].find(({ registration }) => registration?.refs.has(ref))
  const registration = line?.registration
  if (!line || !registration || (registration.refs.get(ref)?.until ?? 0) < performance.now()) {
    throw new Refused(404, 'qr_unknown', 'nobody shows this QR code any more')
  }
  const shown = [Buffer.from(noiseKey, 'base64'), Buffer.from(identity, 'base64')] as const
  if (!shown[0].equals(registration.noiseKey) || !shown[1].equals(registration.keys.identity)) {
    throw new Refused(400, 'qr_forged', 'the keys in the QR code are not those of the client that shows it')
  }
  askForMore(world, line, advSecret)
  return link(world, account, line, Buffer.from(advSecret, 'base64'))
}

/** What the server may want before it links who was scanned. @throws Refused: for now the phone can't link it */
function askForMore(world: World, line: Line, secret: string): void {
  const { registration } = line
  if (!registration) return
  if (world.faults.use('passkey')) {
    const options = JSON.stringify({ rpId: 'whatsapp.com', challenge: randomBytes(16).toString('base64url') })
    notify(line, 'passkey_prologue_request', stanza('passkey_request_options', {}, Buffer.from(options)))
    throw new Refused(409, 'passkey', 'the account has to answer a passkey challenge')
  }
  const { refresh, acknowledged } = registration
  if (!refresh) {
    const asked = world.faults.use('new_secret')
    if (!asked) return
    const id = notify(line, 'companion_reg_refresh', stanza(asked.child))
    registration.refresh = { id, not: secret }
    throw new Refused(409, 'scan_again', 'the client is asked for another secret')
  }
  if (secret === refresh.not)
    throw new Refused(409, 'old_secret', 'the secret is the one that was shown before')
  if (!acknowledged.has(refresh.id))
    throw new Refused(409, 'unacknowledged', 'the client acknowledged nothing')
}

/** Answers the id that the client has to acknowledge. */
function notify(line: Line, type: string, content: Stanza): string {
  const id = notificationId()
  line.send(stanza('notification', { id, from: SERVER, type, t: seconds() }, [content]))
  return id
}

/** The phone's person can't use the code that is shown: the client is to ask for another. */
export function refreshCode(world: World, account: Account): void {
  const line = [...world.lines].findLast(
    ({ registration }) => registration?.linkCode?.phone === account.phone,
  )
  const ref = line?.registration?.linkCode?.ref
  if (!line || !ref) throw new Refused(404, 'code_unknown', 'no client asked for a code for this phone')
  const stage = { stage: 'refresh_code', force_manual_refresh: 'true' }
  notify(
    line,
    'link_code_companion_reg',
    stanza('link_code_companion_reg', stage, [stanza('link_code_pairing_ref', {}, ref)]),
  )
}

/** `link_code_companion_reg` from a client: its hello, or its answer after the code was typed. */
export function acceptLinkCode(line: Line, request: Stanza): Stanza[] {
  const step = child(request, 'link_code_companion_reg')
  const { registration } = line
  if (!step || !registration) return []
  if (step.attrs['stage'] === 'companion_hello') {
    const ref = randomBytes(16)
    registration.linkCode = {
      phone: parseJid(step.attrs['jid'])?.user ?? '',
      ref,
      wrappedEphemeral: bytes(child(step, 'link_code_pairing_wrapped_companion_ephemeral_pub')),
    }
    return [stanza('link_code_companion_reg', {}, [stanza('link_code_pairing_ref', {}, ref)])]
  }
  // The answer must leave before `pair-success`, which the phone's side sends once it has read the bundle.
  setImmediate(() => finishLinkCode(line, step))
  return []
}

/** The phone's side of the code: derives the keys, asks the companion for its identity, and links it. */
export async function typeCode(world: World, account: Account, typed: string): Promise<Device> {
  const line = [...world.lines].findLast(
    ({ registration }) => registration?.linkCode?.phone === account.phone,
  )
  const linkCode = line?.registration?.linkCode
  if (!line || !linkCode) throw new Refused(404, 'code_unknown', 'no client asked for a code for this phone')
  const code = typed.replaceAll(/[\s-]/g, '')
  const wrapped = linkCode.wrappedEphemeral
  const key = await derivePairingCodeKey(code, wrapped.subarray(0, 32))
  const companionEphemeral = aesDecryptCTR(wrapped.subarray(48, 80), key, wrapped.subarray(32, 48))
  const ephemeral = newKeyPair()
  const [salt, iv] = [randomBytes(32), randomBytes(16)]
  const sealed = aesEncryptCTR(ephemeral.public, await derivePairingCodeKey(code, salt), iv)
  const agreed = Promise.withResolvers<Buffer>()
  linkCode.primary = {
    identity: account.identity,
    ephemeral,
    companionEphemeral,
    done: (result) => (result instanceof Error ? agreed.reject(result) : agreed.resolve(result)),
  }
  notify(
    line,
    'link_code_companion_reg',
    stanza('link_code_companion_reg', { stage: 'primary_hello' }, [
      stanza('link_code_pairing_ref', {}, linkCode.ref),
      stanza('primary_identity_pub', {}, account.identity.public),
      stanza('link_code_pairing_wrapped_primary_ephemeral_pub', {}, Buffer.concat([salt, iv, sealed])),
    ]),
  )
  const secret = await agreed.promise
  // Both know the secret by now: whoever exchanges it here can't be linked any more.
  const asked = world.faults.use('new_secret')
  if (asked) notify(line, 'companion_reg_refresh', stanza(asked.child))
  return link(world, account, line, secret)
}

/** Opens the companion's bundle. It opens only if both derived their keys from the same code. */
function finishLinkCode(line: Line, step: Stanza): void {
  const primary = line.registration?.linkCode?.primary
  if (!primary) return
  try {
    const bundle = bytes(child(step, 'link_code_pairing_wrapped_key_bundle'))
    const companion = bytes(child(step, 'companion_identity_public'))
    const shared = sharedKey(primary.ephemeral.private, primary.companionEphemeral)
    const salted = { salt: bundle.subarray(0, 32), info: 'link_code_pairing_key_bundle_encryption_key' }
    const key = hkdf(shared, 32, salted)
    const opened = aesDecryptGCM(bundle.subarray(44), key, bundle.subarray(32, 44), Buffer.alloc(0))
    if (!opened.subarray(0, 32).equals(companion)) throw new Error('the bundle speaks of another identity')
    const identityShared = sharedKey(primary.identity.private, companion)
    const secret = Buffer.concat([shared, identityShared, opened.subarray(64, 96)])
    primary.done(Buffer.from(hkdf(secret, 32, { info: 'adv_secret' })))
  } catch {
    primary.done(new Refused(400, 'code_refused', 'the code does not fit the one the client shows'))
  }
}
