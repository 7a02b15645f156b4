import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { INDEXES } from './indexes.ts'

const FILE = join(import.meta.dirname, '../../infra/firestore.indexes.json')

const sorted = (all: object[]): string[] => all.map((one) => JSON.stringify(one)).toSorted()

test.skipIf(!existsSync(FILE))(
  'infra applies this list: npm run cloud -- --indexes > infra/firestore.indexes.json',
  () => {
    const applied = JSON.parse(readFileSync(FILE, 'utf8')) as typeof INDEXES
    expect(sorted(applied.indexes)).toEqual(sorted(INDEXES.indexes))
    expect(sorted(applied.fieldOverrides)).toEqual(sorted(INDEXES.fieldOverrides))
  },
)
