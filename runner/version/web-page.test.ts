import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { saysBaileys } from '../whatsapp/library/library.fixture.ts'
import { readWebPage, versionIn, WEB_PAGE, type PageReading } from './web-page.ts'

/** What is read of a page that a server of this test answers. */
async function read(answer: RequestListener): Promise<PageReading> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    return await readWebPage(`http://127.0.0.1:${(server.address() as AddressInfo).port}/sw.js`)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

test('it is the page, and the form, that rc14 reads itself', () => {
  expect(saysBaileys('Utils/generics.js', WEB_PAGE)).toBe(1)
  expect(saysBaileys('Utils/generics.js', String.raw`/\\?"client_revision\\?":\s*(\d+)/`)).toBe(1)
})

test.for<[page: string, reading: PageReading]>([
  ['{"client_revision":1043857760,', { version: '2.3000.1043857760' }],
  [String.raw`"{\"client_revision\": 1043857761}"`, { version: '2.3000.1043857761' }],
  ['<html>"client_revision":"none"</html>', { trouble: 'other_form' }],
  ['"client_revision":0', { trouble: 'other_form' }],
  ['"client_revision":99999999999', { trouble: 'other_form' }],
  ['', { trouble: 'other_form' }],
])('F11: %j says %j', ([page, reading]) => {
  expect(versionIn(page)).toEqual(reading)
})

test('F11: what goes wrong is a word, and nothing is thrown', async () => {
  expect(await read((_, response) => response.end('"client_revision":7'))).toEqual({ version: '2.3000.7' })
  expect(await read((_, response) => response.writeHead(503).end())).toEqual({ trouble: 'http_503' })
  expect(await read((request) => request.socket.destroy())).toEqual({ trouble: 'no_answer' })
  const endless: RequestListener = (_, response) => {
    const more = (): void => void (response.destroyed || response.write(Buffer.alloc(1 << 20), more))
    more()
  }
  expect(await read(endless)).toEqual({ trouble: 'answer_too_large' })
  expect(await readWebPage('http://127.0.0.1:1/')).toEqual({ trouble: 'no_answer' })
})
