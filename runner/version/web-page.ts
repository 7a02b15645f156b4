import { hasCode } from '#shared/errors.ts'
import { guardedConnector } from '#shared/net/guarded-connector.ts'

/** Where WhatsApp's web client says which build it is: what rc14's own `fetchLatestWaWebVersion` reads. */
export const WEB_PAGE = 'https://web.whatsapp.com/sw.js'

/** What the page says: the present version, or in a word why it does not. */
export type PageReading = { version: string } | { trouble: string }

/** Nobody waits for it. */
const WITHIN_MS = 15_000
/** Many times what a service worker has. */
const BYTES_MAX = 4 << 20
/** As a browser asks for it by itself; without these it gets another page (rc14's `fetchLatestWaWebVersion`). */
const HEADERS = {
  'sec-fetch-site': 'none',
  'user-agent':
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
}
/** In a script of its own, or in one inside a text. */
const REVISION = /\\?"client_revision\\?":\s*(\d+)/
/** It goes into 32 bits of the login. */
const REVISION_MAX = 2 ** 32 - 1

/** Asks the page once. It never rejects: whatever goes wrong is a word. */
export async function readWebPage(url: string): Promise<PageReading> {
  // The address is the operator's own, so it may be any.
  const connector = guardedConnector({ allowPrivate: true })
  const ask = { method: 'GET', headers: HEADERS, timeoutMs: WITHIN_MS, answerBytesMax: BYTES_MAX } as const
  try {
    return await connector.request(url, ask, async ({ status, body }) => {
      if (status !== 200) return { trouble: `http_${status}` }
      const chunks: Uint8Array[] = []
      for await (const chunk of body) chunks.push(chunk)
      return versionIn(Buffer.concat(chunks).toString())
    })
  } catch (error) {
    return {
      trouble: hasCode(error, 'no_answer', 'address_unknown', 'answer_too_large') ? error.code : 'no_answer',
    }
  } finally {
    await connector.close().catch(() => undefined)
  }
}

/** Pure. */
export function versionIn(page: string): PageReading {
  const revision = Number(REVISION.exec(page)?.[1])
  return revision > 0 && revision <= REVISION_MAX
    ? { version: `2.3000.${revision}` }
    : { trouble: 'other_form' }
}
