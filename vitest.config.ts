import { defineConfig } from 'vitest/config'

/**
 * Two projects, for two kinds of promises: `unit` sits beside its file and runs in parallel, `world` starts real
 * processes and real sockets, one file after the other, because the machine has two cores and figures would blur.
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
          name: 'world',
          include: ['test/{whatsapp,e2e,fleet,project,cloud,soak,hostile}/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
