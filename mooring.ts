import { enableCompileCache } from 'node:module'

// Compiling some 300 modules takes half of a start; Node keeps the result in the system's temporary directory (or where
// NODE_COMPILE_CACHE says), so it is enabled before anything else is loaded.
enableCompileCache()
const { answerArguments } = await import('./usage.ts')
const answer = answerArguments(process.argv.slice(2))
if (answer) {
  process.stdout.write(answer.out ?? '')
  process.stderr.write(answer.error ?? '')
  process.exitCode = answer.code
} else {
  const { main, cannotStart } = await import('./compose.ts')
  await main().catch(cannotStart)
}
