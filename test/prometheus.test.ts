import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import * as z from 'zod';
import { alertGroups } from '../scripts/dashboards/alerts.ts';
import { ruleGroups } from '../scripts/dashboards/rules-file.ts';
import { runPrometheus } from '../scripts/services/prometheus.ts';
import { createSupervisor } from '../scripts/services/supervisor.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { dashboardNames, promqlOf, readDashboard } from './support/dashboards.ts';
import { expandPromql } from './support/grafana.ts';
import { metricComplaints } from './support/metric-complaints.ts';
import { orderExport } from './support/order-export.ts';
import { lintMetrics } from './support/promtool.ts';
import { services } from './support/services.ts';
import { type System, startSystem } from './support/system.ts';
import { startTcpRelay, type TcpRelay } from './support/tcp-relay.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

/** What cannot have data in a test that takes seconds, by its beginning, and why. */
const without: Record<string, string> = {
  'analytics:stored_events:rate1h': 'needs an hour, its median three days',
  '0.8 * analytics:stored_events': 'needs three days',
  'max by (alertname) (ALERTS': 'nothing fires in a service that is well',
  'sum by (job, route) (rate(http_requests_total{job=~"analytics-.+", status=~"5': 'no 5xx here',
};
const isWithout = (text: string) => Object.keys(without).some((start) => text.startsWith(start));

const dashboards = await Promise.all(dashboardNames.map(readDashboard));
const panels = dashboards.flatMap((dashboard) =>
  promqlOf(dashboard).map(({ panel, expr }) => ({ panel, expr: expandPromql(expr, '10s') })),
);
const rules = ruleGroups.flatMap((group) => group.rules);

const answer = z.object({
  status: z.literal('success'),
  data: z.object({
    resultType: z.literal('vector'),
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        value: z.tuple([z.number(), z.string()]),
      }),
    ),
  }),
});
const rulesAnswer = z.object({
  data: z.object({
    groups: z.array(
      z.object({
        rules: z.array(
          z.object({ name: z.string(), health: z.string(), lastError: z.string().optional() }),
        ),
      }),
    ),
  }),
});
const alertsAnswer = z.object({
  data: z.object({
    alerts: z.array(
      z.object({
        labels: z.record(z.string(), z.string()),
        annotations: z.record(z.string(), z.string()),
        state: z.enum(['pending', 'firing']),
      }),
    ),
  }),
});

describe.skipIf(!inject('hasPrometheus'))('a real Prometheus scrapes the service', () => {
  const supervisor = createSupervisor();
  let storeRelay: TcpRelay;
  let system: System;
  let database: Database;
  let server: Server;
  let prometheus: string;

  const get = async (path: string) => (await fetch(`${prometheus}${path}`)).json();
  async function query(expr: string) {
    const body = await get(`/api/v1/query?query=${encodeURIComponent(expr)}`);
    return answer.parse(body, { error: () => `${expr}: ${JSON.stringify(body)}` }).data.result;
  }
  const firing = async () =>
    alertsAnswer
      .parse(await get('/api/v1/alerts'))
      .data.alerts.filter(({ state }) => state === 'firing');

  /** Enough of the last minutes for the live numbers, a duplicate and an invalid event among them. */
  async function traffic(): Promise<void> {
    const events = Array.from({ length: 30 }, (_, index) =>
      usageEvent({
        eventId: randomUUID(),
        occurredAtMs: Date.now() - 1_000 * index,
        ...(index === 0 ? { status: 'error', errorCode: 'overloaded' } : {}),
      }),
    );
    // Sent again where the stream was slow to take them, as a producer does: they deduplicate.
    await until('the stream takes them', async () => {
      const sent = system.sink.accept([...events, ...events.slice(0, 1)]);
      return sent.then(
        () => true,
        () => false,
      );
    });
  }

  beforeAll(async () => {
    storeRelay = await startTcpRelay(services().S3_ENDPOINT);
    system = await startSystem({
      environment: { S3_ENDPOINT: `http://127.0.0.1:${storeRelay.port}` },
    });
    database = openDatabase({ url: system.settings.DATABASE_URL ?? '', connectionsMax: 1 });
    server = await serve(system.app, { PORT: 0, HTTP_PORT: 0, HTTP_HOST: '127.0.0.1' });
    await traffic();
    await until('the events are stored', async () => {
      const [row] = await database.query<{ stored: number }>(
        'select coalesce(sum(events_stored), 0)::float8 as stored from analytics.stream_offsets',
      );
      return (row?.stored ?? 0) >= 30;
    });
    await system.refresh();
    await system.verify();
    prometheus = await runPrometheus({
      folder: await supervisor.temporaryFolder('prometheus'),
      supervisor,
      targetPort: server.port,
      job: 'analytics-service',
      rulesFile: fileURLToPath(new URL('../knative/alerts/rules.yaml', import.meta.url)),
      intervalSeconds: 1,
    });
    // Its first targets are found after 5 s.
    await until(
      'it has scraped',
      async () => (await query('analytics:ingestion_events:max')).length > 0,
    );
    await traffic();
  });
  afterAll(async () => {
    await supervisor.stop();
    await server.close();
    await database.close();
    await system.close();
    await storeRelay.stop();
  });

  test.each(panels)('$panel: $expr', async ({ expr }) => {
    if (isWithout(expr)) {
      await query(expr);
    } else {
      await until(`data for ${expr}`, async () => (await query(expr)).length > 0);
    }
  });

  test('promtool has nothing against the metrics but what is known, and that still', async () => {
    const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
    const known = metricComplaints.map(({ complaint }) => complaint);
    expect((await lintMetrics(text)).sort()).toEqual(known.sort());
  });

  test('every rule evaluates, and what it looks at is there', async () => {
    const names = rules.map((rule) => ('record' in rule ? rule.record : rule.alert));
    const evaluated = await until('every rule is evaluated', async () => {
      const { groups } = rulesAnswer.parse(await get('/api/v1/rules')).data;
      const found = groups.flatMap((group) => group.rules);
      return found.every(({ health }) => health !== 'unknown') && found;
    });
    expect(evaluated.map(({ name }) => name).sort()).toEqual(names.sort());
    for (const { name, health, lastError } of evaluated) {
      expect({ name, health, lastError: lastError ?? '' }).toEqual({
        name,
        health: 'ok',
        lastError: '',
      });
    }
    const looksAt = new Set(
      rules.flatMap(({ expr }) => expr.match(/\banalytics[_:][\w:]+/g) ?? []),
    );
    for (const name of looksAt) {
      if (!isWithout(name)) expect(await query(name), name).not.toEqual([]);
    }
  });

  test('its numbers are those of the database', async () => {
    await until('the second events are counted', async () => {
      const [stored] = await query('analytics_ingestion_events_total{outcome="stored"}');
      const [row] = await database.query<{ events: number }>(
        'select count(*)::float8 as events from analytics.usage_events',
      );
      return Number(stored?.value[1]) === row?.events && row.events >= 60;
    });
  });

  test('nothing fires while all is well; two failed attempts at an export do', async () => {
    expect(await firing()).toEqual([]);
    await storeRelay.stop();
    await orderExport(system, randomUUID());
    const attempt = async () => {
      await database.query('update analytics.export_jobs set next_attempt_at = clock_timestamp()');
      expect(await system.exports.drain()).toMatchObject({ retrying: 1 });
    };
    await attempt();
    await until('the first is scraped', async () => {
      const [failures] = await query('analytics:export_failures:max');
      return failures?.value[1] === '1';
    });
    expect(await firing()).toEqual([]);
    await attempt();
    const [alert] = await until('it fires', async () => {
      const now = await firing();
      return now.length > 0 && now;
    });
    expect(alert).toMatchObject({
      labels: { alertname: 'AnalyticsExportFailing', severity: 'warning' },
      annotations: { summary: '2 attempts at exports failed within 60 minutes' },
    });
    expect(
      Object.values(alertGroups)
        .flat()
        .map((one) => one.alert),
    ).toContain(alert?.labels.alertname);
  });
});
