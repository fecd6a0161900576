import { defineConfig } from 'vitest/config';

const servers = {
  globalSetup: ['test/support/global-setup.ts'],
  pool: 'forks' as const,
  // Two files at a time: more only queue up for the same four servers on a small machine.
  maxWorkers: 2,
  hookTimeout: 120_000,
};

export default defineConfig({
  test: {
    // Stopping RabbitMQ and removing folders takes longer than the default of 10 s allows.
    teardownTimeout: 60_000,
    env: { TZ: 'UTC', AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['{shared,functions,scripts}/**/*.test.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          ...servers,
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: ['test/full/**'],
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          ...servers,
          name: 'full',
          include: ['test/full/**/*.test.ts'],
          sequence: { groupOrder: 2 },
          testTimeout: 900_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
