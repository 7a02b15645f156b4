import { enableCompileCache } from 'node:module'

// Compiling some 300 modules takes half of a start; Node keeps the result in the system's temporary directory (or where
// NODE_COMPILE_CACHE says), so it is enabled before anything else is loaded.
enableCompileCache()
const { main, cannotStart } = await import('./compose.ts')
await main().catch(cannotStart)
