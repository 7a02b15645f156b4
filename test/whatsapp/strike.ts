import { hits, type Fault } from './faults.ts'
import { stanza } from './stanza.ts'
import type { Line, World } from './world.ts'

/** Faults that end, or break, one connection at one moment. */
type Blow = Extract<Fault, { kind: 'cut' | 'stream_error' | 'xmlstreamend' | 'corrupt' }>

const BLOWS = ['cut', 'stream_error', 'xmlstreamend', 'corrupt'] as const

/** Sets a fault; what strikes now strikes at once and is not kept. Answers how many connections it hit. */
export function setFault(world: World, fault: Fault): { id: string | undefined; hit: number } {
  const open = [...world.lines].filter((line) => hits(fault, line))
  if ('when' in fault && fault.when === 'now') {
    for (const line of open) strike(line, fault)
    return { id: undefined, hit: open.length }
  }
  const { id } = world.faults.add(fault)
  if (fault.kind === 'freeze') for (const line of open) line.freeze()
  return { id, hit: open.length }
}

/** Clears one fault or all; connections that were frozen by them read on from where they stopped. */
export function clearFaults(world: World, id?: string): void {
  world.faults.clear(id)
  for (const line of world.lines) if (!world.faults.has('freeze', line)) line.thaw()
}

/** Does what a fault has prepared for this moment of a connection. True when the connection is lost by it. */
export function strikeAt(world: World, line: Line, moment: 'login' | 'open'): boolean {
  for (const kind of BLOWS) {
    const blow = world.faults.use(kind, line, (fault) => fault.when === moment)
    if (!blow) continue
    strike(line, blow)
    return true
  }
  return false
}

function strike(line: Line, blow: Blow): void {
  if (blow.kind === 'cut') {
    line.cut()
  } else if (blow.kind === 'corrupt') {
    line.corrupt()
  } else if (blow.kind === 'xmlstreamend') {
    line.send(stanza('xmlstreamend'))
    line.close()
  } else {
    streamError(line, blow)
  }
}

/** Ends a connection the way WhatsApp does: `<stream:error>`, then the WebSocket closes. */
export function streamError(
  line: Line,
  error: { code?: string | number | undefined; conflict?: string | undefined; child?: string | undefined },
): void {
  const content = [
    ...(error.conflict === undefined ? [] : [stanza('conflict', { type: error.conflict })]),
    ...(error.child === undefined ? [] : [stanza(error.child)]),
  ]
  const attributes = { code: error.code === undefined ? undefined : String(error.code) }
  line.send(stanza('stream:error', attributes, content.length ? content : undefined))
  line.close()
}
