import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readPage, readPromises, type Page } from './pages.ts'
import { faultsOf, idsInTitles, type Book } from './references.ts'

const ROOT = join(import.meta.dirname, '../..')
/** What others made, what was generated, and the tests of this check, which are full of what it must find. */
const NOT_READ = ['node_modules', '.git', 'coverage', '.mooring', '.terraform', 'golden']
const NOT_OURS = /package-lock\.json$|provider-schema\.json$|^test\/project\/references/
/** What a reader of the docs makes, and the repository rightly lacks. */
const MADE_BY_READERS = [
  'infra/terraform.tfvars',
  'infra/.terraform.lock.hcl',
  'infra/step-images.auto.tfvars.json',
]

const files = globSync('**/*.{ts,md,json,tf,sh,yaml}', {
  cwd: ROOT,
  exclude: (path) => NOT_READ.includes(basename(path)),
}).filter((path) => !NOT_OURS.test(path))
const texts = new Map(
  [...files, '.oxlintrc.json'].map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]),
)
const markdown = new Map(
  [...texts].filter(([path]) => path.endsWith('.md')).map(([path, text]) => [path, readPage(text)]),
)
const book: Book = {
  pages: new Map([...markdown].filter(([path]) => /^docs\/(design|facts)\//.test(path))),
  promises: readPromises(texts.get('docs/design/promises.md') ?? ''),
}

test('every pointer to design and facts, in code, tests and docs, finds its page, its section or its promise', () => {
  const faults = [...texts].flatMap(([path, text]) =>
    faultsOf(path, text, book).map(({ line, what }) => `${path}:${line} ${what}`),
  )
  expect(faults).toEqual([])
})

test('every promise that is said to be shown has a test with its id in the title', () => {
  const tests = [...texts].filter(([path]) => path.endsWith('.test.ts'))
  const inTitles = new Set(tests.flatMap(([, text]) => idsInTitles(text)))
  const shown = [...book.promises].filter(([, status]) => status.startsWith('shown')).map(([id]) => id)
  expect(shown.length).toBeGreaterThan(30)
  expect(shown.filter((id) => !inTitles.has(id))).toEqual([])
})

test('every section of the design has a number of its own', () => {
  const numbers = [...book.pages]
    .filter(([path]) => path.startsWith('docs/design/'))
    .flatMap(([, page]) => [...page.sections])
  expect(numbers.filter((number, at) => numbers.indexOf(number) !== at)).toEqual([])
  expect(
    numbers
      .map(Number)
      .filter(Number.isInteger)
      .toSorted((a, b) => a - b),
  ).toEqual(Array.from({ length: 16 }, (_, at) => at + 1))
})

test('every relative link of the docs finds its file and its heading', () => {
  const faults = [...markdown].flatMap(([path, page]) =>
    page.links.filter((target) => !resolves(path, target)).map((target) => `${path}: ${target}`),
  )
  expect(faults).toEqual([])
})

test('every file that the docs name is there', () => {
  const faults = [...markdown].flatMap(([path, page]) =>
    page.files
      .filter((file) => !MADE_BY_READERS.includes(file) && !existsSync(join(ROOT, file)))
      .map((file) => `${path}: ${file}`),
  )
  expect(faults).toEqual([])
})

function resolves(from: string, target: string): boolean {
  const [file = '', anchor] = target.split('#')
  const path = file === '' ? from : normalize(join(dirname(from), decodeURI(file)))
  if (!existsSync(join(ROOT, path))) return false
  return anchor === undefined || markdown.get(path)?.anchors.has(anchor) === true
}

describe('the check itself', () => {
  const page: Page = readPage(
    '# Page\n\n## §4 Ownership\n\n### §4.1 A lease, in `code`\n\n## 0. Facts\n\n1. first\n',
  )
  const small: Book = {
    pages: new Map([
      ['docs/design/ownership.md', page],
      ['docs/facts/baileys.md', page],
    ]),
    promises: readPromises('| A1 | asked for | shown |\n| F3 | promised | to come |\n'),
  }
  const rows: readonly [path: string, text: string, whats: readonly RegExp[]][] = [
    ['a.ts', '// docs/design/ownership.md §4.1, and docs/facts/baileys.md §0.1, §4', []],
    ['a.ts', '/** A pointer that is broken (docs/design/ownership.md\n * §4.1). */', []],
    ['a.ts', '/** A pointer that is broken (docs/design/ownership.md\n * §4.7). */', [/has no §4\.7/]],
    ['a.ts', '// docs/facts/baileys.md §0.1 and §0.2', [/has no §0\.2/]],
    ['a.ts', '// docs/design/none.md §1', [/there is no docs\/design\/none\.md/]],
    ['a.ts', '// NIST SP 800-38D §8.3, RFC 9113 §6.1, §6.2', []],
    ['a.ts', '// see §4.1', [/of which page\? docs\/design\/ownership\.md or/]],
    ['a.ts', '// DESIGN, Ownership 1', [/name the page/]],
    ['a.ts', '// (facts: how a socket closes)', [/name the page/]],
    ['a.ts', '// facts/gcp', [/name the page/]],
    ['a.ts', 'const sum = (facts: Facts) => facts.a', []],
    ['a.md', '[there](facts/baileys.md)', []],
    ['a.ts', 'const facts = { A7: 1 } // a word like any other', []],
    ['a.ts', '/** B7: more than three */', [/B7 is no promise/]],
    ['a.test.ts', "test.for(rows)('A1 F3: %s', () => {})", []],
    ['a.test.ts', 'test(\n  `A1 F4: ${n} sessions`, () => {})', [/F4 is no promise/]],
    ['a.md', 'A row about E9.', [/E9 is no promise/]],
    ['docs/design/ownership.md', 'as §4.1 says, not §4.2', [/§4\.2: of which page/]],
  ]
  test.for(rows)('%s with %j', ([path, text, whats]) => {
    const found = faultsOf(path, text, small).map(({ what }) => what)
    expect(found).toEqual(whats.map((what) => expect.stringMatching(what)))
  })

  test('knows headings as links write them, and takes nothing out of code for a link', () => {
    expect([...page.anchors]).toEqual(['page', '4-ownership', '41-a-lease-in-code', '0-facts'])
    const linked = readPage(
      '[a](b.md#c) `[no](x.md)` [web](https://example.org) ![d](e.png)\n```\n[f](g.md)\n```\n',
    )
    expect(linked.links).toEqual(['b.md#c', 'e.png'])
  })
})
