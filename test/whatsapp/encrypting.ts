import { encodeWAMessage, generateSignalPubKey, type proto } from '@whiskeysockets/baileys'
import { lidOf, pnOf } from './accounts.ts'
import { takeBundle } from './prekeys.ts'
import type { SignalMemory } from './signal-memory.ts'
import { stanza, type Attributes, type Stanza } from './stanza.ts'
import type { Device, Group, World } from './world.ts'

/** How a simulated device encrypts: it starts the sessions it lacks with bundles, as every client does. */
export interface Encrypting {
  /** A new session from a fresh bundle; false when the other device has no keys. */
  startSession(other: Device): Promise<boolean>
  /** One `<enc>` for one device, empty when it cannot be encrypted for. */
  forDevice(other: Device, message: proto.IMessage, extra?: Attributes): Promise<Stanza[]>
  /** One `<to>` for each device, leaving out those that cannot be encrypted for. */
  forEach(others: readonly Device[], messageFor: (other: Device) => proto.IMessage): Promise<Stanza[]>
  /** One ciphertext for the whole group, and the key to it. */
  forGroup(group: Group, message: proto.IMessage): Promise<{ encrypted: Stanza; key: proto.IMessage }>
  /** The key to the group again, for one who lost it. */
  groupKey(group: Group): Promise<proto.IMessage>
}

export function encrypting(world: World, device: Device, memory: () => SignalMemory): Encrypting {
  const startSession = async (other: Device): Promise<boolean> => {
    const bundle = takeBundle(world, other)
    if (!bundle) return false
    const { registrationId, identity, signedPreKey, preKey } = bundle
    const session = {
      registrationId,
      identityKey: generateSignalPubKey(identity),
      signedPreKey: {
        keyId: signedPreKey.id,
        publicKey: generateSignalPubKey(signedPreKey.value),
        signature: signedPreKey.signature,
      },
    }
    const oneTime = preKey && { preKey: { keyId: preKey.id, publicKey: generateSignalPubKey(preKey.value) } }
    await memory().repository.injectE2ESession({ jid: lidOf(other), session: { ...session, ...oneTime } })
    return true
  }

  const forDevice: Encrypting['forDevice'] = async (other, message, extra = {}) => {
    const { repository } = memory()
    const { exists } = await repository.validateSession(lidOf(other))
    if (!exists && !(await startSession(other))) return []
    const data = encodeWAMessage(message)
    const { type, ciphertext } = await repository.encryptMessage({ jid: lidOf(other), data })
    return [stanza('enc', { v: '2', type, ...extra }, ciphertext)]
  }

  const keyMessage = (group: Group, key: Uint8Array): proto.IMessage => ({
    senderKeyDistributionMessage: { groupId: group.id, axolotlSenderKeyDistributionMessage: key },
  })

  return {
    startSession,
    forDevice,
    async forEach(others, messageFor) {
      const copies: Stanza[] = []
      for (const other of others) {
        const encrypted = await forDevice(other, messageFor(other))
        if (encrypted.length) copies.push(stanza('to', { jid: pnOf(other) }, encrypted))
      }
      return copies
    },
    async forGroup(group, message) {
      const { ciphertext, senderKeyDistributionMessage } = await memory().repository.encryptGroupMessage({
        group: group.id,
        meId: lidOf(device),
        data: encodeWAMessage(message),
      })
      return {
        encrypted: stanza('enc', { v: '2', type: 'skmsg' }, ciphertext),
        key: keyMessage(group, senderKeyDistributionMessage),
      }
    },
    async groupKey(group) {
      const wish = { group: group.id, meId: lidOf(device) }
      return keyMessage(group, await memory().repository.getSenderKeyDistributionMessage(wish))
    },
  }
}
