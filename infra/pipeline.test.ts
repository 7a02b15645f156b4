/** The two pipelines that read the repository, the image's own files and the compose file, read as data; and every line of shell, linted. */

import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

interface Step {
  id: string
  name: string
  script?: string
  env?: string[]
  waitFor?: string[]
}
interface Pipeline {
  steps: Step[]
  substitutions: Record<string, string>
  options: Record<string, unknown>
}

const root = join(import.meta.dirname, '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const pipelines = ['cloudbuild.yaml', 'cloudbuild.terraform.yaml']
const pipeline = (file: string) => parse(read(file)) as Pipeline
const build = pipeline('cloudbuild.yaml')
const stepImages = JSON.parse(read('infra/step-images.json')) as Record<string, string>

test('checks and tests before anything is built, and deploys nothing', () => {
  const before = (id: string): string[] => {
    const direct = build.steps.find((step) => step.id === id)?.waitFor?.filter((each) => each !== '-') ?? []
    return [...direct, ...direct.flatMap(before)]
  }
  expect(new Set(before('image'))).toEqual(new Set(['check', 'test', 'terraform', 'install', 'emulator']))
  expect(JSON.stringify(build.steps)).not.toMatch(/gcloud run|deploy\.sh/)
})

test('runs the tests as CI, against a Firestore emulator', () => {
  const step = build.steps.find(({ id }) => id === 'test')
  expect(step?.env).toEqual(expect.arrayContaining(['CI=true', 'FIRESTORE_EMULATOR_HOST=firestore:8080']))
})

test('tests on the Node that the image is made of, and on the one that package.json names', () => {
  const inImage = /^ARG NODE_IMAGE=(.+)$/m.exec(read('Dockerfile'))?.[1]
  expect(inImage).toBe(stepImages['node'])
  const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: Record<string, string> }
  expect(inImage).toContain(`node:${devDependencies['node']}-`)
})

test.for(pipelines)(
  '%s works under an account of our own, and leaves its images to whoever pinned them',
  (file) => {
    const { options, steps } = pipeline(file)
    expect(options).toMatchObject({ logging: 'CLOUD_LOGGING_ONLY', automapSubstitutions: true })
    for (const { id, name } of steps) expect(`${id}: ${name}`).toMatch(/: \$_[A-Z]+_IMAGE$/)
    // Nothing that a script starts, either.
    const hosts = new Set(Object.values(stepImages).map((image) => image.split('/')[0]))
    for (const host of hosts) expect(JSON.stringify(steps)).not.toContain(`${host}/`)
  },
)

test.for(pipelines)(
  '%s has no image of its own to fall back on, and a default or a pin for everything else',
  (file) => {
    const { steps, substitutions } = pipeline(file)
    const used = steps.flatMap(({ name, script = '' }) =>
      [...`${name} ${script}`.matchAll(/\$\{?(_[A-Z_]+)/g)].map(([, each = '']) => each),
    )
    const pins = Object.keys(stepImages).map((name) => `_${name.toUpperCase()}_IMAGE`)
    expect(Object.keys(substitutions).filter((name) => pins.includes(name))).toEqual([])
    for (const name of used) expect([...Object.keys(substitutions), ...pins]).toContain(name)
  },
)

test('applies the plan that was printed, and no other', () => {
  const scripts = pipeline('cloudbuild.terraform.yaml').steps.map(({ script = '' }) => script)
  expect(scripts.at(-2)).toContain('-out=/workspace/.plan')
  expect(scripts.at(-1)).toMatch(/ apply .*\/workspace\/\.plan\s*$/)
})

test('ships the program, the production packages, and no test', () => {
  const dockerfile = read('Dockerfile')
  expect(dockerfile).toContain('npm ci --omit=dev --ignore-scripts')
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, what = '']) =>
    what.split(' '),
  )
  const allowed = read('.dockerignore')
    .split('\n')
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1))
  expect(copied.toSorted()).toEqual(allowed.toSorted())
  expect(read('.dockerignore')).toContain('**/*.test.ts')
})

test('is built by the builder alone: a frontend named in the Dockerfile would be fetched by its tag', () => {
  expect(read('Dockerfile')).not.toMatch(/^# *syntax *=/m)
})

test('runs as a number that is not root, with Node as PID 1 and a heap that follows the limit', () => {
  const dockerfile = read('Dockerfile')
  expect(dockerfile).toMatch(/^USER 65532:65532$/m)
  expect(dockerfile).toMatch(/^ENTRYPOINT \["\/usr\/local\/bin\/node", "mooring\.ts"\]$/m)
  const rehearsal = read('infra/rehearse-image.sh')
  for (const option of ['--max-old-space-size-percentage=65', '--max-semi-space-size=8'])
    for (const text of [dockerfile, rehearsal]) expect(text).toContain(option)
  // Cloud Run's front end keeps paths ending in z for itself.
  const paths = [dockerfile, ...terraform()].flatMap((text) =>
    [...text.matchAll(/path\s*=\s*"([^"]+)"/g)].map(([, path]) => path),
  )
  expect(paths).not.toContainEqual(expect.stringMatching(/z$/))
})

test('listens on every address of the container, which is a network of its own; the program alone stays on loopback', () => {
  expect(read('Dockerfile')).toMatch(/^    MOORING_HOST=0\.0\.0\.0 \\$/m)
  expect(read('shared/config.ts')).toContain("MOORING_HOST: z.string().min(1).default('127.0.0.1')")
  expect(read('infra/compose.yaml')).toContain('- 127.0.0.1:8080:8080')
})

test('brings its compile cache along: filled by the user and at the path that it is read by, which are in its keys', () => {
  const dockerfile = read('Dockerfile')
  const [, warmed] =
    /USER 65532:65532\nRUN NODE_COMPILE_CACHE=(\S+) node infra\/warm\.ts/.exec(dockerfile) ?? []
  expect(warmed).toBe('/app/.compile-cache')
  expect(dockerfile).toContain(`COPY --from=warm ${warmed} ./.compile-cache`)
  expect(dockerfile).toContain(`    NODE_COMPILE_CACHE=${warmed} \\\n`)
})

test('leaves the rest of the memory to files and buffers: heap and work directory stay below the limit together', () => {
  const heap = Number(/size-percentage=(\d+)/.exec(read('Dockerfile'))?.[1])
  const files =
    Number(
      /work_dir_mib = floor\(var\.runner\.memory_mib \* ([\d.]+)\)/.exec(read('infra/settings.tf'))?.[1],
    ) * 100
  expect(heap + files).toBeLessThanOrEqual(90)
})

test('names only settings that the program knows', () => {
  const known = read('shared/config.ts')
  const compose = JSON.stringify(parse(read('infra/compose.yaml')))
  const named = [
    ...[read('infra/settings.tf'), read('infra/control.tf'), compose]
      .join('\n')
      .matchAll(/\b(MOORING_[A-Z_]+|GOOGLE_CLOUD_PROJECT)\b/g),
  ]
  for (const [name] of named) expect(known).toContain(`${name}:`)
})

test('owns the directories that volumes and memory are mounted on', () => {
  expect(read('Dockerfile')).toMatch(
    /mkdir -p \/owned\/data \/owned\/scratch[\s\S]+COPY --from=program --chown=65532:65532 \/owned \/\n/,
  )
  expect(read('infra/settings.tf')).toMatch(/work_dir = "\/scratch"/)
})

test('gives the composed program time to drain and a read-only root', () => {
  const { services } = parse(read('infra/compose.yaml')) as {
    services: Record<string, Record<string, unknown>>
  }
  expect(services['mooring']).toMatchObject({ read_only: true, stop_grace_period: '15s', cap_drop: ['ALL'] })
})

const shellcheck = spawnSync('shellcheck', ['--version']).status === 0
const skipLint = !shellcheck && process.env['CI'] !== 'true'
if (skipLint)
  console.warn('Shell scripts are not linted: shellcheck is not installed (apt-get install shellcheck).')

test.skipIf(skipLint)('has no complaint about any shell script, in files and in pipeline steps', () => {
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.sh'))
  const inSteps = pipelines.flatMap((file) =>
    pipeline(file).steps.map(({ id, script }) => ({ where: `${file}: ${id}`, script })),
  )
  const scripts = [...files.map((file) => ({ where: file, script: read(`infra/${file}`) })), ...inSteps]
  const complaints = scripts.flatMap(({ where, script }) => {
    if (script === undefined) return [`${where} has no script that could be linted`]
    // SC2154: a step's variables come from the build, not from the script.
    const { status, stdout, error } = spawnSync('shellcheck', ['--exclude=SC2154', '-'], {
      input: script,
      encoding: 'utf8',
    })
    return status === 0 ? [] : [`${where}: ${error?.message ?? stdout}`]
  })
  expect(complaints).toEqual([])
})

function terraform(): string[] {
  return readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith('.tf'))
    .map((file) => read(`infra/${file}`))
}
