import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import * as z from 'zod';
import { alertGroups } from '../scripts/dashboards/alerts.ts';
import { generatedFiles } from '../scripts/dashboards/files.ts';
import { defaultRunbook, runbookSection } from '../scripts/dashboards/rule.ts';
import { sampleEvents, sampleModels, sampleOrgs } from '../scripts/sample-events.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { saveNames } from '../shared/preparation/catalog.ts';
import {
  dashboardNames,
  promqlOf,
  queryPanels,
  readDashboard,
  sqlOf,
} from './support/dashboards.ts';
import { expandPromql, expandSql, type GrafanaScope } from './support/grafana.ts';
import { nowWithRoom } from './support/midnight.ts';
import { checkExpressions } from './support/promtool.ts';
import { runbookAnchors } from './support/runbook.ts';
import { type System, startSystem } from './support/system.ts';
import { usageEvent } from './support/usage-events.ts';

const alerts = Object.values(alertGroups).flat();
const dashboards = await Promise.all(dashboardNames.map(readDashboard));
const to = new Date(await nowWithRoom());

test.each(generatedFiles(defaultRunbook))(
  '$path is as npm run dashboards writes it',
  async ({ path, text }) => {
    expect(await readFile(new URL(`../${path}`, import.meta.url), 'utf8')).toBe(text);
  },
);

test('each dashboard has its uid', () => {
  expect(new Set(dashboards.map(({ uid }) => uid)).size).toBe(dashboards.length);
});

describe.each(dashboards)('$title', (dashboard) => {
  const { panels, templating } = dashboard;

  test('panels have ids of their own and do not overlap', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)}/${y + Math.floor(cell / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });

  test('queries of a panel have letters of their own, and ask its data source', () => {
    for (const { datasource, targets } of queryPanels(dashboard)) {
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
      for (const target of targets) expect(target.datasource).toEqual(datasource);
    }
  });

  test('every variable that is used is there', () => {
    const used = JSON.stringify(dashboard).matchAll(/\$\{(\w+)(?::\w+)?\}/g);
    const names = new Set([...used].map(([, name]) => name));
    expect(names).toEqual(new Set(templating.list.map(({ name }) => name)));
  });

  test.skipIf(!inject('hasPrometheus'))('every expression is PromQL', async () => {
    await checkExpressions(promqlOf(dashboard).map(({ expr }) => expandPromql(expr, '1m')));
  });

  test('a limit in a panel is that of the alert it links to', () => {
    const compared = queryPanels(dashboard).flatMap(({ title, links, fieldConfig }) => {
      const limit = fieldConfig.defaults.thresholds.steps.at(-1)?.value ?? null;
      if (limit === null) return [];
      const alert = alerts.find(
        (one) => links[0]?.url === runbookSection(defaultRunbook, one.alert),
      );
      if (alert === undefined) return [];
      expect(alert.expr, title).toMatch(new RegExp(`>=? ${limit}$`, 'm'));
      return [title];
    });
    expect(compared.length).toBeGreaterThan(0);
  });

  test('every link to the runbook leads to a section', async () => {
    const anchors = runbookAnchors();
    for (const { title, links } of queryPanels(dashboard)) {
      for (const { url } of links) expect(anchors, title).toContain(new URL(url).hash.slice(1));
    }
  });
});

test('every alert has its section in the runbook', async () => {
  const anchors = runbookAnchors();
  for (const { alert } of alerts) expect(anchors).toContain(alert.toLowerCase());
});

describe('on seeded data', () => {
  let system: System;
  let database: Database;
  const from = new Date(to.getTime() - 3 * 86_400_000);
  const week = `start=${from.toISOString()}&end=${to.toISOString()}`;

  beforeAll(async () => {
    system = await startSystem({ stream: false });
    database = openDatabase({ url: system.settings.DATABASE_URL ?? '', connectionsMax: 2 });
    await saveNames(database, {
      orgs: [{ id: sampleOrgs[0], name: "Acme's" }],
      models: sampleModels.map(({ modelId: id, name }) => ({ id, name })),
    });
    await system.sink.accept([
      ...sampleEvents({ untilMs: to.getTime(), hours: 60, perHour: 12 }),
      // On the first of a month nearly all of those are of the month before.
      ...sampleOrgs.flatMap((orgId) =>
        sampleModels.map(({ modelId }) =>
          usageEvent({ orgId, modelId, occurredAtMs: to.getTime() - 1 }),
        ),
      ),
    ]);
    await system.refresh();
    const asked = await system.app.request(`/analytics/v1/orgs/${sampleOrgs[0]}/exports`, {
      method: 'POST',
      headers: {
        'X-Actor-Subject': 'me',
        'X-Actor-Roles': 'admin',
        'Content-Type': 'application/json',
      },
      body: JSON.stringify({ timeRange: { start: from.toISOString(), end: to.toISOString() } }),
    });
    expect(asked.status).toBe(202);
  });
  afterAll(async () => {
    await database.close();
    await system.close();
  });

  const variablesOf = (dashboard: (typeof dashboards)[number]) =>
    dashboard.templating.list.flatMap((one) => (one.type === 'query' ? [one] : []));

  test.each(dashboards)('$title offers orgs and models by name', async (dashboard) => {
    const [orgs, models] = await Promise.all(
      variablesOf(dashboard).map(({ query }) =>
        database.query<{ __text: string; __value: string }>(query),
      ),
    );
    expect(orgs).toEqual([
      { __text: sampleOrgs[1], __value: sampleOrgs[1] },
      { __text: "Acme's", __value: sampleOrgs[0] },
    ]);
    expect(models?.map(({ __text }) => __text)).toEqual(
      sampleModels.map(({ name }) => name).sort(),
    );
  });

  /** As Grafana has them for `All`, one, or several. */
  function scopes(dashboard: (typeof dashboards)[number]): GrafanaScope[] {
    // What these tests make now is in the range too.
    const range = { from, to: new Date(to.getTime() + 60_000) };
    const all = Object.fromEntries(
      variablesOf(dashboard).map(({ name, allValue }) => [name, allValue]),
    );
    return ['usage_daily', 'usage_hourly'].flatMap((rollup) => [
      { ...range, variables: { ...all, rollup } },
      { ...range, variables: { ...all, org: [sampleOrgs[0]], rollup } },
      {
        ...range,
        variables: {
          org: [...sampleOrgs],
          model: sampleModels.map(({ modelId }) => modelId),
          rollup,
        },
      },
    ]);
  }

  const sqlPanels = dashboards.flatMap((dashboard) =>
    sqlOf(dashboard).map((target) => ({ ...target, scopes: scopes(dashboard) })),
  );

  test.each(sqlPanels)('$panel has rows for all, one and several orgs', async (target) => {
    for (const scope of target.scopes) {
      const rows = await database.query<Record<string, unknown>>(expandSql(target.rawSql, scope));
      expect(rows.length).toBeGreaterThan(0);
      const values = rows.flatMap((row) =>
        Object.entries(row).filter(([name]) => name !== 'time' && name !== 'metric'),
      );
      expect(values.some(([, value]) => value !== null)).toBe(true);
      if (target.format !== 'time_series') continue;
      for (const [name, value] of values) expect(typeof value, name).toBe('number');
      const times = rows.map(({ time }) => z.date().parse(time).getTime());
      expect(times).toEqual(times.toSorted((a, b) => a - b));
    }
  });

  describe('where orgs and models share their names', () => {
    const named = { orgs: [...sampleOrgs], models: sampleModels.map(({ modelId }) => modelId) };
    const name = async (nameOf: (id: string) => string) => {
      const entries = (ids: readonly string[]) => ids.map((id) => ({ id, name: nameOf(id) }));
      await saveNames(database, { orgs: entries(named.orgs), models: entries(named.models) });
    };
    /** Every panel's rows, in all scopes, with the names left out of what is compared. */
    const ask = () =>
      Promise.all(
        sqlPanels.map(async ({ rawSql, scopes: all }) =>
          Promise.all(
            all.map((scope) => database.query<Record<string, unknown>>(expandSql(rawSql, scope))),
          ),
        ),
      );
    const labels = ['metric', 'org', 'model'];
    const values = (row: Record<string, unknown>) =>
      JSON.stringify(Object.entries(row).filter(([column]) => !labels.includes(column)));

    test('every panel keeps them apart, as many rows and the same numbers', async () => {
      const clients = ['', '(none)'].map((clientId) => ({ clientId, errorCode: '(none)' }));
      await system.sink.accept(
        [...clients, { clientId: '(none)', errorCode: null }].map((fields) =>
          usageEvent({
            ...fields,
            orgId: sampleOrgs[0],
            modelId: named.models[0] ?? '',
            status: 'error',
            occurredAtMs: to.getTime() - 60_000,
          }),
        ),
      );
      await system.refresh();
      await name((id) => `named ${id}`);
      const apart = await ask();
      await name(() => 'Initech');
      const alike = await ask();
      let shown = 0;
      for (const [index, { panel, format }] of sqlPanels.entries()) {
        for (const [place, rows] of (alike[index] ?? []).entries()) {
          const expected = apart[index]?.[place] ?? [];
          expect(rows.map(values).sort(), panel).toEqual(expected.map(values).sort());
          // With the id behind it, a name is told apart by who reads it as well.
          for (const column of labels) {
            const texts = (list: typeof rows) => new Set(list.map((row) => row[column])).size;
            expect(texts(rows), `${panel}: ${column}`).toBe(texts(expected));
          }
          shown += rows.filter((row) =>
            labels.some((one) => /^Initech \(/.test(`${row[one]}`)),
          ).length;
          if (format !== 'time_series') continue;
          const points = rows.map(
            ({ time, metric }) => `${z.date().parse(time).getTime()} ${metric}`,
          );
          expect(new Set(points).size, panel).toBe(rows.length);
        }
      }
      expect(shown).toBeGreaterThan(0);
    });

    test('the variables offer each of them', async () => {
      await name(() => 'Initech');
      for (const { query } of dashboards.flatMap(variablesOf)) {
        const offered = await database.query<{ __text: string; __value: string }>(query);
        expect(new Set(offered.map(({ __text }) => __text)).size).toBe(offered.length);
        for (const { __text, __value } of offered) expect(__text).toBe(`Initech (${__value})`);
      }
    });
  });

  test('what the panels add up to is what the API answers', async () => {
    const sum = async (panel: string, column: string) => {
      const target = sqlPanels.find((one) => one.panel === panel);
      const [, one] =
        target?.scopes.filter(({ variables }) => variables.rollup === 'usage_hourly') ?? [];
      if (target === undefined || one === undefined) throw new Error(`no panel ${panel}`);
      const rows = await database.query<Record<string, number>>(expandSql(target.rawSql, one));
      return rows.reduce((total, row) => total + (row[column] ?? 0), 0);
    };
    const { body } = await system.get(
      `/analytics/v1/orgs/${sampleOrgs[0]}/usage?${week}&groupBy=none`,
    );
    const { totals } = z
      .object({ totals: z.object({ invocations: z.number(), costEstimateCents: z.number() }) })
      .parse(body);
    expect(await sum('Invocations', 'invocations')).toBe(totals.invocations);
    expect(await sum('Invocations by model', 'invocations')).toBe(totals.invocations);
    expect(await sum('Spend by model', 'spend')).toBeCloseTo(totals.costEstimateCents / 100, 6);
    expect(await sum('Top models', 'spend')).toBeCloseTo(totals.costEstimateCents / 100, 6);
  });

  test('latency percentiles are those of the API', async () => {
    const target = sqlPanels.find(({ panel }) => panel === 'Latency percentiles');
    const one = target?.scopes.find(
      ({ variables: { org, rollup } }) => rollup === 'usage_hourly' && org?.length === 1,
    );
    if (target === undefined || one === undefined) throw new Error('no panel');
    const rows = await database.query<{ time: Date }>(expandSql(target.rawSql, one));
    const { body } = await system.get(
      `/analytics/v1/orgs/${sampleOrgs[0]}/reliability?${week}&groupBy=none&granularity=hour`,
    );
    const { series } = z
      .object({
        series: z.array(
          z.object({
            bucketStart: z.string(),
            latencyMs: z.object({ p50: z.number(), p95: z.number(), p99: z.number() }),
          }),
        ),
      })
      .parse(body);
    expect(rows.map(({ time, ...latencyMs }) => ({ at: time.getTime(), latencyMs }))).toEqual(
      series.map(({ bucketStart, latencyMs }) => ({ at: Date.parse(bucketStart), latencyMs })),
    );
    expect(series.length).toBeGreaterThan(24);
  });
});
