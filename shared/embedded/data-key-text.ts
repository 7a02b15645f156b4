import type { DataKey } from '../session.ts'

/** In a record that is JSON, the wrapped bytes are base64. */
type TextKey = Omit<DataKey, 'wrapped'> & { wrapped: string }

export const toText = (dataKey: DataKey): TextKey => ({
  ...dataKey,
  wrapped: Buffer.from(dataKey.wrapped).toString('base64'),
})

/** Of a record as `JSON.parse` gives it. */
export const fromText = (dataKey: DataKey): DataKey => ({
  ...dataKey,
  wrapped: new Uint8Array(Buffer.from((dataKey as unknown as TextKey).wrapped, 'base64')),
})
