import { Counter, Gauge, Registry } from 'prom-client';
import type { Database } from './db.ts';
import { exportStatuses } from './export-job.ts';

/**
 * The numbers that outlive processes, as Prometheus text, read from the tables: a function that
 * scales to zero loses its own counters (DESIGN 10). Several replicas report the same, so rules
 * take `max`, never `sum`.
 */
export async function pipelineMetrics(database: Database): Promise<string> {
  const registry = new Registry();
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name, help, labelNames, registers: [registry] });
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers: [registry] });

  await database.transaction({ mode: 'snapshot' }, async (snapshot) => {
    const [totals] = await snapshot.query<Record<'stored' | 'duplicate' | 'rejected', number>>(
      `select coalesce(sum(events_stored), 0)::float8 as stored,
              coalesce(sum(events_duplicate), 0)::float8 as duplicate,
              coalesce(sum(events_rejected), 0)::float8 as rejected
       from analytics.stream_offsets`,
    );
    const events = counter(
      'analytics_ingestion_events_total',
      'Events by what became of them, since the beginning',
      ['outcome'],
    );
    for (const [outcome, count] of Object.entries(totals ?? {})) events.inc({ outcome }, count);

    const streams = await snapshot.query<{
      stream: string;
      lag_messages: number;
      lag_seconds: number;
      lost: number;
    }>(
      `select stream,
              greatest(coalesce(head_offset - coalesce(committed_offset, -1), 0), 0) as lag_messages,
              greatest(extract(epoch from clock_timestamp() - coalesce(complete_through, created_at)),
                       0)::float8
                as lag_seconds,
              messages_lost as lost
       from analytics.stream_offsets
       where not retired`,
    );
    const lagMessages = gauge(
      'analytics_ingestion_lag_messages',
      'Offsets between the head of the stream and the last committed one',
      ['stream'],
    );
    const lagSeconds = gauge(
      'analytics_ingestion_lag_seconds',
      'Seconds since the time up to which the stream is stored',
      ['stream'],
    );
    const lost = counter(
      'analytics_ingestion_messages_lost_total',
      'Offsets that retention removed before they were read',
      ['stream'],
    );
    for (const row of streams) {
      lagMessages.set({ stream: row.stream }, row.lag_messages);
      lagSeconds.set({ stream: row.stream }, row.lag_seconds);
      lost.inc({ stream: row.stream }, row.lost);
    }
    gauge(
      'analytics_freshness_lag_seconds_max',
      'Seconds since the time up to which everything received is stored',
    ).set(Math.max(0, ...streams.map((row) => row.lag_seconds)));

    const [rollup] = await snapshot.query<{ at: number; seconds: number }>(
      `select extract(epoch from last_success_at)::float8 as at,
              last_duration_ms / 1000.0::float8 as seconds
       from analytics.job_runs where job = 'rollup'`,
    );
    const lastSuccess = gauge(
      'analytics_rollup_last_success_timestamp_seconds',
      'When batches were last folded into the rollups',
    );
    const duration = gauge('analytics_rollup_duration_seconds', 'How long that took');
    if (rollup !== undefined) {
      lastSuccess.set(rollup.at);
      duration.set(rollup.seconds);
    }
    const [pending] = await snapshot.query<{ batches: number }>(
      'select count(*) as batches from analytics.ingestion_batches where folded_at is null',
    );
    gauge('analytics_rollup_pending_batches', 'Batches stored and not yet in the rollups').set(
      pending?.batches ?? 0,
    );

    const jobs = await snapshot.query<{ status: string; jobs: number; age: number }>(
      `select status, count(*) as jobs,
              extract(epoch from clock_timestamp() - min(created_at))::float8 as age
       from analytics.export_jobs group by status`,
    );
    const exports = gauge('analytics_export_jobs', 'Exports by status', ['status']);
    for (const status of exportStatuses) {
      exports.set({ status }, jobs.find((row) => row.status === status)?.jobs ?? 0);
    }
    gauge(
      'analytics_export_queue_age_seconds',
      'Seconds since the oldest export that still waits was asked for',
    ).set(jobs.find(({ status }) => status === 'pending')?.age ?? 0);
    const [failures] = await snapshot.query<{ value: number }>(
      `select value from analytics.counters where name = 'export_failures'`,
    );
    counter(
      'analytics_export_failures_total',
      'Failed attempts at exports, since the beginning',
    ).inc(failures?.value ?? 0);
  });
  return registry.metrics();
}
