// Says in one sentence what is wrong before anything fails in a hundred ways. It must run on older versions too.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 24 || (major === 24 && minor < 12)) {
  process.stderr.write(
    `Mooring's tests need Node 24.12 or newer; this is ${process.version}. "npm ci" installs one: start them with "npm test".\n`,
  )
  process.exit(1)
}
