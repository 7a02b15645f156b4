import type { UnaskedClose } from './socket.ts'

interface Boom {
  message: string
  output?: { statusCode?: number }
  data?: unknown
}

/**
 * What Baileys says of a close that we did not ask for (a Boom, a plain Error or nothing) as plain data. Pure; unknown shapes are
 * kept as text.
 */
export function closeReport(error: Error | undefined, http: number | undefined): UnaskedClose {
  if (!error) return { by: 'server', message: 'ended without a reason', http }
  const { message, output, data } = error as Boom
  const node = data as { tag?: unknown; attrs?: Record<string, unknown> } | null | undefined
  const conflict =
    node?.tag === 'conflict' && typeof node.attrs?.['type'] === 'string' ? node.attrs['type'] : undefined
  const attributes = attributesOf(data)
  return {
    by: 'server',
    status: output?.statusCode,
    http,
    message,
    conflict,
    network: networkOf(data),
    attributes,
  }
}

/** rc14 hands the error of the WebSocket on as it came; the code in it is the operating system's, or that of TLS. */
function networkOf(data: unknown): string | undefined {
  if (!(data instanceof Error) || !('code' in data)) return undefined
  return typeof data.code === 'string' ? data.code : undefined
}

/** A `<failure>` carries its attributes as they are; a `<stream:error>` its child. */
function attributesOf(data: unknown): Record<string, string> | undefined {
  if (data === null || typeof data !== 'object' || 'tag' in data || 'stack' in data || data instanceof Error)
    return undefined
  const texts = Object.entries(data).filter(
    (field): field is [string, string] => typeof field[1] === 'string',
  )
  return texts.length > 0 ? Object.fromEntries(texts) : undefined
}
