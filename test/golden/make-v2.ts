import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { seal } from '#shared/envelope.ts'
import { encodeEntry } from '#runner/state/entry.ts'
import { entryAad } from '#runner/state/aad.ts'
import { golden } from './make-v1.ts'

/**
 * An entry of version 2, of the same change over the same state as that of version 1. Made once, by
 * `node test/golden/make-v2.ts`, and never again: this refuses to overwrite it.
 */
const { key, epoch, seq } = golden.place
const entry = encodeEntry(golden.change, (name) => golden.state[name])
const sealed = seal(golden.dataKey, entry, entryAad(key, epoch, seq))
writeFileSync(join(import.meta.dirname, 'entry-v2.bin'), sealed, { flag: 'wx' })
