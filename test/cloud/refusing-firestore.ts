import { grpc } from 'google-gax'

/** Something on Firestore's place that answers every question with one gRPC status; with 0, as an empty database. */
export interface RefusingFirestore {
  /** `host:port` */
  host: string
  close(): Promise<void>
}

/** A `RunQueryResponse` with nothing but `read_time` (field 3) {seconds: 1}. */
const NOTHING_FOUND = Buffer.from([0x1a, 0x02, 0x08, 0x01])
const METHODS = { RunQuery: true, BatchGetDocuments: true, Commit: false } as const

export async function startRefusingFirestore(code: number, details: string): Promise<RefusingFirestore> {
  const server = new grpc.Server()
  const pass = (bytes: Buffer): Buffer => bytes
  for (const [name, responseStream] of Object.entries(METHODS)) {
    const definition = {
      path: `/google.firestore.v1.Firestore/${name}`,
      requestStream: false,
      responseStream,
      requestSerialize: pass,
      requestDeserialize: pass,
      responseSerialize: pass,
      responseDeserialize: pass,
    }
    const refusal = Object.assign(new Error(details), { code, details })
    const unary = (_: unknown, answer: (error: object | null, value: Buffer) => void): void =>
      answer(code === 0 ? null : refusal, Buffer.alloc(0))
    const stream = (call: grpc.ServerWritableStream<Buffer, Buffer>): void => {
      if (code !== 0) return void call.emit('error', refusal)
      call.write(NOTHING_FOUND)
      call.end()
    }
    server.addService({ [name]: definition }, { [name]: responseStream ? stream : unary })
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  return {
    host: `127.0.0.1:${port}`,
    close() {
      server.forceShutdown()
      return Promise.resolve()
    },
  }
}
