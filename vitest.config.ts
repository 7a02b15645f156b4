import { defineConfig } from 'vitest/config'

/** Each starts the emulator and several processes, or fifty sessions at once: nothing else has room beside it on two cores. */
const ALONE = ['test/e2e/{fleet,google,google-hang,rehearsal}.test.ts']

/** About a minute each: whole deploys, and waiting for a store that hangs. `npm run test:long` runs them. */
const LONG = ['test/e2e/google-hang.test.ts', 'test/e2e/rehearsal.test.ts', 'test/fleet/partition.test.ts']
const isLong = process.env['TEST_LONG'] === 'on'

/**
 * Three projects, for three kinds of promises, one after the other: `unit` sits beside its file and runs in parallel; `e2e`
 * starts a few real processes and real sockets, which mostly wait, two files at a time; `world` starts whole fleets and clouds,
 * one file after the other, because the machine has two cores.
 * Both go through Node's own loader (`viteModuleRunner: false`): what Node would refuse must not pass here.
 */
export default defineConfig({
  test: {
    restoreMocks: true,
    experimental: { viteModuleRunner: false },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [
            '{cli,control,runner,shared,infra}/**/*.test.ts',
            'test/{contract,golden,simulation}/**/*.test.ts',
          ],
          testTimeout: 90_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/{whatsapp,e2e,project}/**/*.test.ts'],
          exclude: ALONE,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'world',
          include: isLong ? LONG : ['test/{fleet,cloud,soak,hostile}/**/*.test.ts', ...ALONE],
          exclude: isLong ? [] : LONG,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
