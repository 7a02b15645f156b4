import { isJidGroup, type SignalKeyStore } from '@whiskeysockets/baileys'

/**
 * rc14 takes the members of a group for having our sender key as soon as the message that brings it is on the wire. When
 * that did not arrive, nobody could read what follows. After this it brings the key to all of them with the next message;
 * whoever gets it twice does not mind. Does nothing where `chat` is no group.
 */
export async function forgetWhoHasKey(keys: Pick<SignalKeyStore, 'set'>, chat: string): Promise<void> {
  if (isJidGroup(chat)) await keys.set({ 'sender-key-memory': { [chat]: null } })
}
