import { open, seal, type OpenKey } from '#shared/envelope.ts'
import { CodedError } from '#shared/errors.ts'
import type { KeyWrapper } from '#shared/store/key-wrapper.ts'
import type { MemoryClient } from './database.ts'

const KEY: OpenKey = { id: 'memorykk', bytes: new Uint8Array(32).fill(42) }

/** What `KeyWrapper.unwrap` does, in the same turn; for checks that must not wait. @throws CodedError `wrong_key` */
export function unwrapNow(wrapped: Uint8Array, aad: string): Uint8Array {
  try {
    return new Uint8Array(open((id) => (id === KEY.id ? KEY : undefined), wrapped, aad))
  } catch (cause) {
    throw new CodedError('wrong_key', 'unwrap a data key', { cause })
  }
}

export function memoryKeyWrapper(client: MemoryClient): KeyWrapper {
  return {
    async wrap(dataKey, aad) {
      client.open()
      return { wrapped: new Uint8Array(seal(KEY, dataKey, aad)), keyVersion: KEY.id }
    },
    async unwrap(wrapped, aad) {
      client.open()
      return unwrapNow(wrapped, aad)
    },
    currentVersion: async () => KEY.id,
  }
}
