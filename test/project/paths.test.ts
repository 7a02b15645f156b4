import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, join, matchesGlob } from 'node:path'
import { describe, expect, test } from 'vitest'
import knip from '../../knip.json' with { type: 'json' }
import packageJson from '../../package.json' with { type: 'json' }
import tsconfig from '../../tsconfig.json' with { type: 'json' }
import vitestConfig from '../../vitest.config.ts'

/**
 * A rule for a path that is not there guards nothing, and says so to nobody: lint, knip, vitest and Docker take a pattern
 * without a match for one that has nothing to do.
 */

const ROOT = join(import.meta.dirname, '../..')
const NOT_READ = ['node_modules', '.git', 'coverage', '.mooring', '.terraform']
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

/** Every file and every folder, without those that only exist where somebody worked. Names with a dot are not listed. */
const known = globSync('**', { cwd: ROOT, exclude: (path) => NOT_READ.includes(basename(path)) })

/** `a/{b,c}/**` stands for two paths; the one that is left must not hide the one that is gone. */
const alternatives = (pattern: string): string[] => {
  const [, before = '', inside = '', after = ''] = /^(.*?)\{([^{}]*)\}(.*)$/.exec(pattern) ?? []
  if (inside === '') return [pattern]
  return inside.split(',').flatMap((one) => alternatives(before + one + after))
}

const isThere = (pattern: string): boolean =>
  existsSync(join(ROOT, pattern)) || known.some((path) => matchesGlob(path, pattern.replace(/^\.\//, '')))

const missing = (patterns: readonly string[]): string[] =>
  patterns.flatMap(alternatives).filter((pattern) => !isThere(pattern))

const lint = JSON.parse(read('.oxlintrc.json')) as { overrides: { files: string[] }[] }
const scripts = Object.values(packageJson.scripts).flatMap((script) => script.split(' '))
const projects = (vitestConfig as { test: { projects: { test: { include: string[] } }[] } }).test.projects
const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = '']) =>
  sources.split(' '),
)
const letIn = read('.dockerignore')
  .split('\n')
  .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []))

const CONFIGURATIONS: readonly [name: string, patterns: readonly string[]][] = [
  ['.oxlintrc.json', lint.overrides.flatMap(({ files }) => files)],
  ['knip.json', [...knip.entry, ...knip.project]],
  ['vitest.config.ts', projects.flatMap(({ test }) => test.include)],
  ['tsconfig.json', tsconfig.include],
  ['package.json, imports', Object.values(packageJson.imports)],
  ['package.json, scripts', scripts.filter((word) => word.endsWith('.ts'))],
  ['.dockerignore', letIn],
  ['Dockerfile', copied],
]

test.for(CONFIGURATIONS)('every path in %s exists', ([, patterns]) => {
  expect(patterns.length).toBeGreaterThan(0)
  expect(missing(patterns)).toEqual([])
})

describe('the check itself', () => {
  test('finds a file, a folder, a name that begins with a dot, and a pattern', () => {
    expect(
      missing(['mooring.ts', './runner/*', 'infra', '.npmrc', '*.config.ts', '{cli,test}/**/*.test.ts']),
    ).toEqual([])
  })

  test('notices what is gone, also where something else of the same pattern is left', () => {
    expect(missing(['runner/gone.ts', 'gone/**', '{cli,gone}/**/*.ts'])).toEqual([
      'runner/gone.ts',
      'gone/**',
      'gone/**/*.ts',
    ])
  })
})
