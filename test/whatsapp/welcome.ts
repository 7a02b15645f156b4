import { randomBytes } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import { proto } from '@whiskeysockets/baileys'
import { accountLid, accountPn } from './accounts.ts'
import { simulatedOf } from './simulated-device.ts'
import type { Account, Device, World } from './world.ts'

const { Type } = proto.Message.ProtocolMessage
const { HistorySyncType } = proto.HistorySync

const appStateKeys = new WeakMap<Account, proto.Message.IAppStateSyncKey>()

/**
 * What a phone gives a companion in its first minutes: the initial history, an app-state key, names and the rest of
 * the history, all as encrypted messages of the phone. The history is empty, but it is one: without it rc14 holds back
 * every event for 20 seconds after its first login.
 */
export function welcome(world: World, device: Device): void {
  const phone = simulatedOf(device.account.devices.get(0))
  if (!phone || !world.options.history || device.welcomed) return
  device.welcomed = true
  const { account } = device
  const parts: proto.IMessage[] = [
    history(account, HistorySyncType.INITIAL_BOOTSTRAP, 0),
    {
      protocolMessage: {
        type: Type.APP_STATE_SYNC_KEY_SHARE,
        appStateSyncKeyShare: { keys: [appStateKey(account)] },
      },
    },
    history(account, HistorySyncType.PUSH_NAME, 0),
    history(account, HistorySyncType.RECENT, 100),
  ]
  for (const part of parts) {
    void phone.sendPeer(device, part, randomBytes(10).toString('hex').toUpperCase())
  }
}

function history(
  account: Account,
  syncType: proto.HistorySync.HistorySyncType,
  progress: number,
): proto.IMessage {
  const content = {
    syncType,
    progress,
    chunkOrder: 1,
    conversations: [],
    pushnames: [{ id: accountPn(account), pushname: account.name }],
    phoneNumberToLidMappings: [{ pnJid: accountPn(account), lidJid: accountLid(account) }],
  }
  return {
    protocolMessage: {
      type: Type.HISTORY_SYNC_NOTIFICATION,
      historySyncNotification: {
        syncType,
        progress,
        chunkOrder: 1,
        initialHistBootstrapInlinePayload: deflateSync(proto.HistorySync.encode(content).finish()),
      },
    },
  }
}

/** One key per account: all its companions share it. */
export function appStateKey(account: Account): proto.Message.IAppStateSyncKey {
  const known = appStateKeys.get(account)
  if (known) return known
  const key = {
    keyId: { keyId: randomBytes(6) },
    keyData: {
      keyData: randomBytes(32),
      fingerprint: { rawId: Number(account.lid.slice(-9)), currentIndex: 0, deviceIndexes: [0] },
      timestamp: Date.now(),
    },
  }
  appStateKeys.set(account, key)
  return key
}
