import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stop as stopEsbuild } from 'esbuild';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { bundleFunction } from '../scripts/build.ts';
import { alertGroups } from '../scripts/dashboards/alerts.ts';
import { eventStorage } from '../shared/events/event-storage.ts';
import { storeBatch } from '../shared/events/store-batch.ts';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { type FunctionProcess, startFunctionProcess } from './support/function-process.ts';
import { offsetRow } from './support/offsets.ts';
import { orderExport } from './support/order-export.ts';
import { testRules } from './support/promtool.ts';
import { seriesOf } from './support/scraped-series.ts';
import { services } from './support/services.ts';
import { withAdmin } from './support/template-database.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';
import { type WatchedSystem, watchSystem } from './support/watched-system.ts';

/** How the condition of an alert comes about, on real servers. */
interface Condition {
  /** Other alerts that the same cause rightly sets off. */
  entails?: string[];
  environment?: Record<string, string>;
  /** Between two scrapes of its history, 1 unless it is long. */
  everyMinutes?: number;
  /** What must have been before, on a system that is well. */
  before?: (system: WatchedSystem) => Promise<void>;
  /** Breaks the system, which has been well for two hours. */
  cause: (system: WatchedSystem) => Promise<void>;
}

const wellMinutes = 120;
const badMinutes = 30;
const dayMinutes = 1_440;
const orgId = '00000000-0000-4000-8000-000000000001';
const rulesFile = fileURLToPath(new URL('../knative/alerts/rules.yaml', import.meta.url));

let folder: string;
/** As it is deployed, in a process of its own. */
let usageFunction: FunctionProcess;

const conditions: Record<string, Condition> = {
  AnalyticsFreshnessLagHigh: {
    entails: ['AnalyticsConsumerDown'],
    cause: async (system) => {
      await system.stopConsumer();
      await system.publish(events(10));
      await system.pass(11);
      await system.refresh();
    },
  },
  AnalyticsRollupStale: {
    entails: ['AnalyticsRefreshDown', 'AnalyticsFreshnessLagHigh', 'AnalyticsVerifyFailing'],
    cause: async (system) => {
      await system.stopConsumer();
      // No schedule runs any more.
      await system.pass(61);
    },
  },
  AnalyticsThroughputLow: {
    everyMinutes: 5,
    before: async (system) => {
      await system.staysFor(60);
      for (let day = 1; day <= 4; day += 1) {
        await send(system, events(4_000));
        await system.staysFor(day < 4 ? dayMinutes : dayMinutes - wellMinutes);
      }
    },
    cause: (system) => send(system, events(2_000)),
  },
  AnalyticsDedupeFailing: {
    cause: async (system) => {
      const first = events(5);
      const again = first.map((event) => ({ ...event, occurredAtMs: event.occurredAtMs - 1_000 }));
      await system.publish(first);
      await system.stored(first);
      // Past the consumer, which would turn them away: as after its hour, or by an older release.
      const batch = { stream: 'http', events: again, rejected: 0, position: null };
      await storeBatch(system.database, eventStorage(system.database), batch);
      await system.verify();
    },
  },
  AnalyticsRollupDrift: {
    entails: ['AnalyticsDedupeFailing'],
    cause: async (system) => {
      await system.database.query(
        'update analytics.usage_hourly set success_count = success_count - 1 where org_id = $1',
        [orgId],
      );
      await system.verify();
    },
  },
  AnalyticsVerifyFailing: {
    cause: async (system) => {
      await system.pass(31);
      await system.refresh();
    },
  },
  AnalyticsMessagesLost: {
    // The least that can be kept, in segments of a quarter.
    environment: { RABBITMQ_STREAM_MAX_BYTES: '1000000' },
    cause: async (system) => {
      await system.stopConsumer();
      const read = await offsetRow(system.database, system.settings.RABBITMQ_STREAM);
      await system.publish(events(3_000));
      await until('retention removes what was not read', async () => {
        const first = await system.firstOffset();
        return first > (read?.committed_offset ?? 0) + 1;
      });
      system.startConsumer();
      await until('what is left is read', async () => {
        await system.refresh();
        const row = await offsetRow(system.database, system.settings.RABBITMQ_STREAM);
        return row?.committed_offset === row?.head_offset;
      });
    },
  },
  AnalyticsExportFailing: {
    cause: async (system) => {
      await system.storeRelay.stop();
      await orderExport(system, orgId);
      expect(await system.exports.drain()).toMatchObject({ retrying: 1 });
      await system.pass(1);
      expect(await system.exports.drain()).toMatchObject({ retrying: 1 });
    },
  },
  AnalyticsExportQueueStuck: {
    cause: async (system) => {
      system.storeRelay.freeze();
      const asked = system.settings.EXPORT_WORKER_CONCURRENCY + 1;
      for (let job = 0; job < asked; job += 1) await orderExport(system, orgId);
      const working = system.exports.drain();
      system.atEnd(async () => {
        await system.storeRelay.stop();
        await system.exports.stop();
        await working;
      });
      await until('the worker has all that it can hold', async () => {
        const waiting = await system.database.query(
          `select from analytics.export_jobs where status = 'pending'`,
        );
        return waiting.length === 1;
      });
      await system.pass(61);
      await system.refresh();
      await system.verify();
    },
  },
  AnalyticsErrorRateHigh: {
    // An org that has just begun, whose rate cannot have tripled.
    cause: (system) => {
      const begun = { orgId: '00000000-0000-4000-8000-000000000002' };
      return send(system, [
        ...events(27, begun),
        ...events(1, { ...begun, status: 'error', errorCode: 'overloaded' }),
        ...events(1, { ...begun, status: 'timeout' }),
        ...events(1, { ...begun, status: 'throttled' }),
      ]);
    },
  },
  AnalyticsErrorRateSpike: {
    // From 1% to 3.5%.
    cause: (system) => send(system, [...events(94), ...events(6, { status: 'timeout' })]),
  },
  AnalyticsLatencyP95High: {
    cause: (system) => send(system, events(20, { latencyMs: 3_000 })),
  },
  AnalyticsLatencyP99High: {
    cause: (system) => send(system, events(3, { latencyMs: 8_000 })),
  },
  AnalyticsStatusDown: {
    cause: async (system) => {
      const name = new URL(system.settings.DATABASE_URL ?? '').pathname.slice(1);
      const allow = (allowed: boolean) =>
        withAdmin(services().DATABASE_URL, async (admin) => {
          await admin.query(`alter database ${name} allow_connections ${allowed}`);
          await admin.query(
            'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1',
            [name],
          );
        });
      await allow(false);
      system.atEnd(() => allow(true));
    },
  },
  AnalyticsConsumerDown: {
    cause: async (system) => {
      await system.stopConsumer();
      await system.publish(events(10));
      await system.pass(6);
      await system.refresh();
    },
  },
  AnalyticsRefreshDown: {
    // Nothing but the refresh looks at the head of a stream that is not being read.
    entails: ['AnalyticsFreshnessLagHigh'],
    cause: async (system) => {
      await system.stopConsumer();
      await system.pass(11);
      await system.verify();
    },
  },
  AnalyticsExportWorkerDown: {
    cause: async (system) => {
      await orderExport(system, orgId);
      await system.pass(16);
      await system.refresh();
    },
  },
  AnalyticsFunctionDown: {
    before: async (system) => {
      system.targets.set('analytics-usage', usageFunction.url);
    },
    cause: async () => usageFunction.signal('SIGSTOP'),
  },
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-alerts-'));
  const bundle = await bundleFunction('usage', folder);
  await stopEsbuild();
  // Its own numbers need no database.
  const DATABASE_URL = 'postgres://nobody:secret@127.0.0.1:1/none';
  usageFunction = await startFunctionProcess(bundle, { DATABASE_URL, LOG_LEVEL: 'silent' });
});
afterAll(async () => {
  usageFunction?.signal('SIGKILL');
  await rm(folder, { recursive: true });
});

test('every alert has its cause here', () => {
  const names = Object.values(alertGroups).flatMap((group) => group.map(({ alert }) => alert));
  expect(Object.keys(conditions).sort()).toEqual(names.sort());
});

describe.skipIf(!inject('hasPrometheus'))('its cause sets off, and nothing before it,', () => {
  test.concurrent.each(Object.entries(conditions))('%s', async (alert, condition) => {
    const { environment = {}, everyMinutes = 1, entails = [], before, cause } = condition;
    const system = await watchSystem(environment);
    try {
      system.startConsumer();
      await send(system, [
        ...events(99),
        ...events(1, { status: 'error', errorCode: 'overloaded' }),
      ]);
      await system.refresh();
      await system.verify();
      await before?.(system);
      await system.staysFor(wellMinutes);
      await cause(system);
      await system.staysFor(badMinutes);
    } finally {
      await system.close();
    }
    const minutes = system.stages.reduce((sum, stage) => sum + stage.minutes, 0);
    await testRules(rulesFile, {
      interval: `${everyMinutes}m`,
      input_series: seriesOf(system.stages, everyMinutes),
      promql_expr_test: [
        fired(0, minutes - badMinutes - everyMinutes, []),
        fired(minutes - badMinutes, minutes - everyMinutes, [alert, ...entails]),
      ],
    });
  });
});

/** All alerts that fire at some time between two minutes. */
function fired(fromMinute: number, toMinute: number, expected: readonly string[]) {
  return {
    expr: `group by (alertname) (last_over_time(ALERTS{alertstate="firing"}[${toMinute - fromMinute}m]))`,
    eval_time: `${toMinute}m`,
    exp_samples: expected.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
  };
}

function events(count: number, fields: Partial<UsageEvent> = {}): UsageEvent[] {
  return Array.from({ length: count }, () => usageEvent({ orgId, ...fields }));
}

async function send(system: WatchedSystem, some: readonly UsageEvent[]): Promise<void> {
  await system.publish(some);
  await system.stored(some);
}
