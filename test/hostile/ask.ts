import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import type { Api } from '#test/e2e/api.ts'

export interface Asked {
  method?: string
  path: string
  headers?: Readonly<Record<string, string>>
  body?: Uint8Array | string
  /** Another than the API's own. */
  key?: string
}

export interface Answered {
  /** 0: the connection ended without an answer. */
  status: number
  code: string
}

/** One request on a connection of its own, as somebody makes it who does not care for the rules of a client. */
export async function ask(api: Api, asked: Asked): Promise<Answered> {
  const { hostname, port } = new URL(api.url)
  const { method = 'GET', path, body } = asked
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request({
      hostname,
      port,
      method,
      path,
      agent: false,
      headers: {
        'x-api-key': asked.key ?? api.key,
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        ...asked.headers,
      },
    })
    sent.once('response', resolve)
    sent.once('error', reject)
    sent.end(body)
  })
  try {
    const response = await answer
    const status = response.statusCode ?? 0
    if (response.headers['content-type']?.startsWith('text/event-stream')) {
      response.on('error', () => undefined)
      open.add(response)
      return { status, code: '' }
    }
    const text = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>)).toString()
    const { code = '' } = (text.startsWith('{') ? JSON.parse(text) : {}) as { code?: string }
    return { status, code }
  } catch {
    return { status: 0, code: '' }
  }
}

/** Event streams stay open until they are hung up. */
const open = new Set<IncomingMessage>()

export async function hangUp(): Promise<void> {
  const all = [...open]
  open.clear()
  await Promise.all(
    all.map((response) => {
      const closed = once(response, 'close')
      response.destroy()
      return closed
    }),
  )
}

/** How many of each status there were. */
export const tally = (answers: readonly Answered[]): Record<number, number> =>
  answers.reduce<Record<number, number>>(
    (counts, { status }) => ({ ...counts, [status]: (counts[status] ?? 0) + 1 }),
    {},
  )
