import { grpc } from 'google-gax'

/** Something on Firestore's place that answers every question with one gRPC status; with 0, as an empty database. */
export interface RefusingFirestore {
  /** `host:port` */
  host: string
  close(): Promise<void>
}

/** A `RunQueryResponse` with nothing but `read_time` (field 3) {seconds: 1}. */
const NOTHING_FOUND = Buffer.from([0x1a, 0x02, 0x08, 0x01])
/** One `write_results` (field 1) {`update_time` (field 1) {seconds: 1}} of a `CommitResponse`; more than any commit has writes. */
const WRITTEN = Buffer.concat(
  Array.from({ length: 100 }, () => Buffer.from([0x0a, 0x04, 0x0a, 0x02, 0x08, 0x01])),
)
const METHODS = { RunQuery: true, BatchGetDocuments: true, Commit: false } as const

/** With `poison`, only commits that hold these bytes are refused. */
export async function startRefusingFirestore(
  code: number,
  details: string,
  poison?: string,
): Promise<RefusingFirestore> {
  const server = new grpc.Server()
  const pass = (bytes: Buffer): Buffer => bytes
  const isRefused = (name: string, request: Buffer): boolean =>
    code !== 0 && (poison === undefined || (name === 'Commit' && request.includes(poison)))
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
    const unary = (
      { request }: { request: Buffer },
      answer: (error: object | null, value: Buffer) => void,
    ): void => (isRefused(name, request) ? answer(refusal, Buffer.alloc(0)) : answer(null, WRITTEN))
    const stream = (call: grpc.ServerWritableStream<Buffer, Buffer>): void => {
      if (isRefused(name, call.request)) return void call.emit('error', refusal)
      call.write(name === 'RunQuery' ? NOTHING_FOUND : missing(call.request))
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

/** A `BatchGetDocumentsResponse` that says `missing` (field 2) of the one document that was asked for. */
function missing(request: Buffer): Buffer {
  const asked = /projects\/[^/]+\/databases\/[^/]+\/documents\/[\x21-\x7e]+/.exec(request.toString('latin1'))
  const name = Buffer.from(asked?.[0] ?? '')
  return Buffer.concat([Buffer.from([0x12, name.length]), name, Buffer.from([0x22, 0x02, 0x08, 0x01])])
}
