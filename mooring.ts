import { enableCompileCache } from 'node:module'

// Compiling some 300 modules takes half of a start; Node keeps the result in the system's temporary directory (or where
// NODE_COMPILE_CACHE says), so it is enabled before anything else is loaded.
enableCompileCache()
const { commandOf } = await import('#cli/usage.ts')
const command = commandOf(process.argv.slice(2))
if (command.do === 'say') {
  process.stdout.write(command.out ?? '')
  process.stderr.write(command.error ?? '')
  process.exitCode = command.code
} else {
  // Whatever is written from here on, by whichever library, is for this user alone.
  process.umask(0o077)
  // What loads nothing that this run does not need.
  const { main } = await import('#cli/start.ts')
  const { cannotStart } = await import('#shared/process.ts')
  const run =
    command.do === 'start'
      ? main()
      : import('#cli/doctor.ts').then(async ({ doctor }) => {
          process.exitCode = await doctor(command.options, (line) => void process.stdout.write(`${line}\n`))
        })
  await run.catch(cannotStart)
}
