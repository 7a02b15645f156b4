import { createSocket, type Socket } from 'node:dgram'
import { afterEach, describe, expect, test } from 'vitest'
import { lookUpByMachine, lookUpByServers } from './look-up.ts'

const open: Socket[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.close()
})

/** A name server that answers each question with what `answer` makes of it, or not at all. Its address. */
async function nameServer(answer: (question: Buffer) => Buffer | undefined): Promise<string> {
  const socket = createSocket('udp4')
  open.push(socket)
  socket.on('message', (question, from) => {
    const bytes = answer(question)
    if (bytes) socket.send(bytes, from.port, from.address)
  })
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve)
  })
  return `127.0.0.1:${socket.address().port}`
}

const A = 1
/** The question as an answer (RFC 1035 §4.1): no error, so many records behind it. */
function reply(question: Buffer, code: number, records: Buffer[]): Buffer {
  const end = question.indexOf(0, 12) + 5
  const head = Buffer.from(question.subarray(0, end))
  head.writeUInt16BE(0x8180 | code, 2)
  head.writeUInt16BE(records.length, 6)
  head.writeUInt16BE(0, 10)
  return Buffer.concat([head, ...records])
}
const asks = (question: Buffer): number => question.readUInt16BE(question.indexOf(0, 12) + 1)
/** Of the name that was asked for, class IN, a minute long. */
const record = (type: number, data: number[]): Buffer =>
  Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data])

describe('a look-up by the name servers', () => {
  test('gives the addresses of both families', async () => {
    const server = await nameServer((question) =>
      asks(question) === A
        ? reply(question, 0, [record(A, [93, 184, 215, 14])])
        : reply(question, 0, [record(28, [0x26, 6, ...Array.from({ length: 13 }, () => 0), 1])]),
    )
    const found = await lookUpByServers({ servers: [server] })('hooks.example.test')
    expect(found.toSorted()).toEqual(['2606::1', '93.184.215.14'])
  })

  test('gives those of one family when the other has none', async () => {
    const server = await nameServer((question) =>
      asks(question) === A ? reply(question, 0, [record(A, [93, 184, 215, 14])]) : reply(question, 0, []),
    )
    expect(await lookUpByServers({ servers: [server] })('hooks.example.test')).toEqual(['93.184.215.14'])
  })

  test('of a name that does not exist says so', async () => {
    const server = await nameServer((question) => reply(question, 3, []))
    await expect(lookUpByServers({ servers: [server] })('nobody.example.test')).rejects.toMatchObject({
      code: 'address_unknown',
      cause: { code: 'ENOTFOUND' },
    })
  })

  test('ends although the name server says nothing', async () => {
    const server = await nameServer(() => undefined)
    await expect(
      lookUpByServers({ servers: [server], withinMs: 50 })('slow.example.test'),
    ).rejects.toMatchObject({ code: 'address_unknown' })
  })
})

describe('a look-up by the machine', () => {
  test('knows localhost', async () => {
    expect(await lookUpByMachine('localhost')).toContain('127.0.0.1')
  })

  test('of a name that does not exist says so', async () => {
    await expect(lookUpByMachine('nobody.invalid')).rejects.toMatchObject({ code: 'address_unknown' })
  })
})
