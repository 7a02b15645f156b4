import { inflateSync } from 'node:zlib'
import { decodeDecompressedBinaryNode, encodeBinaryNode, type BinaryNode } from '@whiskeysockets/baileys'
import * as tokens from '@whiskeysockets/baileys/lib/WABinary/constants.js'

export type Stanza = BinaryNode
export type Attributes = Readonly<Record<string, string | undefined>>

/** The address WhatsApp's server itself speaks from. */
export const SERVER = '@s.whatsapp.net'

const COMPRESSED = 2

/** Builds a stanza. Attributes that are undefined stay away; all others must be strings on the wire. */
export function stanza(tag: string, attributes: Attributes = {}, content?: Stanza['content']): Stanza {
  const attrs: Record<string, string> = {}
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) attrs[name] = value
  return content === undefined ? { tag, attrs } : { tag, attrs, content }
}

/** All children of that name, or all children. */
export function children(node: Stanza | undefined, tag?: string): Stanza[] {
  if (!Array.isArray(node?.content)) return []
  return tag === undefined ? node.content : node.content.filter((child) => child.tag === tag)
}

/** The first child of that name. */
export function child(node: Stanza | undefined, tag: string): Stanza | undefined {
  return children(node, tag)[0]
}

/** The bytes a stanza holds, empty when it holds none. */
export function bytes(node: Stanza | undefined): Buffer {
  const content = node?.content
  if (typeof content === 'string') return Buffer.from(content)
  return content instanceof Uint8Array ? Buffer.from(content) : Buffer.alloc(0)
}

/** The big-endian number a stanza holds, as WhatsApp writes key ids. */
export function number(node: Stanza | undefined): number {
  const content = bytes(node)
  return content.length ? content.readUIntBE(0, content.length) : 0
}

/** A number as `length` big-endian bytes. */
export function bigEndian(value: number, length: number): Buffer {
  const out = Buffer.alloc(length)
  out.writeUIntBE(value, 0, length)
  return out
}

/** Seconds, as WhatsApp stamps stanzas. */
export function seconds(): string {
  return Math.floor(Date.now() / 1000).toString()
}

export function encode(node: Stanza): Buffer {
  return encodeBinaryNode(node)
}

/** Synchronous on purpose: Baileys' own decoder yields before every frame, and order would have to be queued for. */
export function decode(frame: Buffer): Stanza {
  const plain = (frame[0] ?? 0) & COMPRESSED ? inflateSync(frame.subarray(1)) : frame.subarray(1)
  return decodeDecompressedBinaryNode(plain, tokens)
}
