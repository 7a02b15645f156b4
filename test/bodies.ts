import { createBodies, type Bodies } from '#shared/sealing/bodies.ts'
import { readContentSecret } from '#shared/sealing/content-secret.ts'

/** Real sealing under a secret for tests only; every tenant has the same salt, so none needs to have been created. */
export const testBodies = (): Bodies =>
  createBodies(readContentSecret('for tests only and long enough for content'), {
    salt: async () => new Uint8Array(32),
  })
