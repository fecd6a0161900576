import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findGaps } from '../shared/data-quality/gaps.ts';
import { missingPartitions } from '../shared/data-quality/partitions.ts';
import { eventStorage } from '../shared/events/event-storage.ts';
import { storeBatch } from '../shared/events/store-batch.ts';
import { pipelineMetrics } from '../shared/pipeline-metrics.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { migrate } from '../shared/preparation/migrate.ts';
import { dayMs } from '../shared/queries/time-window.ts';
import { reconcile } from '../shared/rollups/reconcile.ts';
import { foldAll } from '../shared/rollups/rollup.ts';
import { samplesOf } from './support/metrics-text.ts';
import type { Timescale } from './support/timescale.ts';
import { timescaleServers } from './support/timescale-servers.ts';
import { usageEvent } from './support/usage-events.ts';

describe.each(timescaleServers)('%s', (_, __, start) => {
  let timescale: Timescale;
  let database: Database;

  beforeAll(async () => {
    timescale = await start();
    await migrate(timescale.url);
    database = openDatabase({ url: timescale.url, patienceMs: 10_000 });
  });
  afterAll(async () => {
    await database?.close();
    await timescale?.stop();
  });

  test('what verify and the metrics ask is answered alike', async () => {
    const events = Array.from({ length: 30 }, () => usageEvent({ status: 'error' }));
    const batch = { stream: 'http', events, rejected: 0, position: null };
    await storeBatch(database, eventStorage(database), batch);
    await foldAll(database);
    await database.query('update analytics.usage_daily set error_count = error_count + 3');
    const tomorrow = (Math.floor(Date.now() / dayMs) + 1) * dayMs;
    const [from, to] = [new Date(tomorrow - 2 * dayMs), new Date(tomorrow)];
    await database.transaction({ mode: 'snapshot' }, async (snapshot) => {
      const { driftedBuckets, drifts } = await reconcile(snapshot, from, to);
      expect(driftedBuckets).toEqual({ hourly: 0, daily: 1 });
      expect(drifts).toMatchObject([{ measure: 'error_count', raw: '30', rollup: '33' }]);
      expect(await findGaps(snapshot, from)).toEqual([]);
      // Chunks are made as events come.
      expect(await missingPartitions(snapshot, new Date())).toEqual([]);
    });
    expect(samplesOf(await pipelineMetrics(database)).get('analytics_usage_error_rate_max')).toBe(
      1,
    );
  });
});
