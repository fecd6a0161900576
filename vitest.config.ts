import { defineConfig } from 'vitest/config';

const servers = {
  globalSetup: ['test/support/global-setup.ts'],
  pool: 'forks' as const,
  // Much of their time is waiting: with two at a time a machine of two cores was busy for 55% of it.
  maxWorkers: 3,
  hookTimeout: 120_000,
};

/**
 * The integration tests that run a second time with the clients of hosted servers: Neon's driver by
 * way of a WebSocket relay, Upstash's client by way of a REST relay, in front of the same PostgreSQL
 * and Redis. They are those that ask the database through `shared/platform/database`. Left out are
 *
 * - commands and processes of their own, which know nothing of the relays: commands, completeness,
 *   consumer-crash, export-crash, freshness-command, leases, replay-command, start, telemetry-bundle;
 * - what brings its own servers or relays: api-stores-away, cache, migrations, neon-driver,
 *   timescale and all that is named after it (cache and freshness-command try Upstash's client
 *   themselves, pooler migrates by Neon's driver);
 * - what would ask the database nothing new: alerts, api-cloud-events, dashboards, data-dictionary,
 *   export-announce, export-links, logs, object-store, prometheus, replay, runbook, seed, services,
 *   stream-close, traces.
 *
 * Three that take half a minute each are tried by `npm run test:full` alone.
 */
const hostedFiles = [
  'api-access',
  'api-events',
  'api-exports',
  'api-parameters',
  'api-routes',
  'database-loss',
  'export-files',
  'export-focus',
  'export-schedule',
  'ingest',
  'metrics',
  'pooler',
  'rollup',
  'verify',
  'verify-function',
  'verify-gaps',
  ...(process.env.TEST_FULL === '1'
    ? ['export-worker', 'latency-percentiles', 'window-answers']
    : []),
].map((name) => `test/${name}.test.ts`);

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
          // Properties of a thousand windows take 2 s of a quiet machine, and more of a busy one.
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          ...servers,
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: ['test/full/**', 'test/faults/**'],
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          ...servers,
          name: 'hosted',
          globalSetup: [...servers.globalSetup, 'test/support/hosted-setup.ts'],
          setupFiles: ['test/support/hosted-driver.ts'],
          include: hostedFiles,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          pool: 'forks',
          // Each file has servers of its own; what `npm run test:faults` records, the machine too.
          maxWorkers: process.env.FAULTS_FORM === undefined ? 2 : 1,
          sequence: { groupOrder: 3 },
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          ...servers,
          name: 'full',
          include: ['test/full/**/*.test.ts'],
          sequence: { groupOrder: 3 },
          testTimeout: 900_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
