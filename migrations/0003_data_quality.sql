-- What verify found, views for people who read with SQL, and what every table and column means.

create table analytics.data_quality_runs (
  run_id uuid primary key,
  trigger text not null check (trigger in ('schedule', 'command', 'repair')),
  started_at timestamptz not null,
  finished_at timestamptz not null,
  window_start timestamptz not null,
  window_end timestamptz not null,
  passed boolean not null,
  failures text[] not null,
  buckets bigint not null,
  drifted_buckets bigint not null,
  drift_ratio_hourly double precision not null,
  drift_ratio_daily double precision not null,
  events_24h bigint not null,
  doubled_event_ids bigint not null,
  dedupe_failure_ratio double precision not null,
  freshness_lag_seconds double precision,
  offset_gaps integer not null,
  missing_partitions text[] not null,
  exports_checked integer not null,
  exports_restated integer not null,
  exports_wrong integer not null,
  synthetic_check text not null check (synthetic_check in ('passed', 'failed', 'waiting', 'off')),
  details jsonb not null,
  check (passed = (cardinality(failures) = 0))
);
create index data_quality_runs_started_idx on analytics.data_quality_runs (started_at);

-- The smallest bin that reaches its share of the events, as the API has it; null without events.
create function analytics.latency_percentile(histogram bigint[], share double precision)
returns integer
language sql immutable parallel safe as $$
  select case when bin < 0 then 0
              else round(2 * exp(bin / 25.0::double precision)
                         / (1 + exp(0.04::double precision)))::integer end
  from (
    select (packed & 511)::integer - 1 as bin,
           (sum(packed >> 9) over (order by packed & 511))::double precision as upto,
           (sum(packed >> 9) over ())::double precision as of_all
    from unnest(histogram) as packed
  ) as bins
  where upto >= share * of_all
  order by bin
  limit 1
$$;

-- Joins make these views read-only, and a column that is not selected costs nothing.
create view analytics.usage_by_hour as
select u.bucket_start, u.org_id, o.name as org_name, u.model_id, m.name as model_name,
       nullif(u.client_id, '') as client_id,
       u.success_count + u.error_count + u.timeout_count + u.throttled_count as invocations,
       u.error_count + u.timeout_count + u.throttled_count as errors,
       u.success_count, u.error_count, u.timeout_count, u.throttled_count,
       u.input_tokens, u.output_tokens, u.input_tokens + u.output_tokens as tokens_total,
       u.cost_estimate_cents,
       round((u.error_count + u.timeout_count + u.throttled_count)::numeric
             / nullif(u.success_count + u.error_count + u.timeout_count + u.throttled_count, 0), 6)
         as error_rate,
       analytics.latency_percentile(u.latency_histogram, 0.5) as latency_p50_ms,
       analytics.latency_percentile(u.latency_histogram, 0.95) as latency_p95_ms,
       analytics.latency_percentile(u.latency_histogram, 0.99) as latency_p99_ms
from analytics.usage_hourly u
left join analytics.orgs o on o.org_id = u.org_id
left join analytics.models m on m.model_id = u.model_id;

create view analytics.usage_by_day as
select u.bucket_start, u.org_id, o.name as org_name, u.model_id, m.name as model_name,
       nullif(u.client_id, '') as client_id,
       u.success_count + u.error_count + u.timeout_count + u.throttled_count as invocations,
       u.error_count + u.timeout_count + u.throttled_count as errors,
       u.success_count, u.error_count, u.timeout_count, u.throttled_count,
       u.input_tokens, u.output_tokens, u.input_tokens + u.output_tokens as tokens_total,
       u.cost_estimate_cents,
       round((u.error_count + u.timeout_count + u.throttled_count)::numeric
             / nullif(u.success_count + u.error_count + u.timeout_count + u.throttled_count, 0), 6)
         as error_rate,
       analytics.latency_percentile(u.latency_histogram, 0.5) as latency_p50_ms,
       analytics.latency_percentile(u.latency_histogram, 0.95) as latency_p95_ms,
       analytics.latency_percentile(u.latency_histogram, 0.99) as latency_p99_ms
from analytics.usage_daily u
left join analytics.orgs o on o.org_id = u.org_id
left join analytics.models m on m.model_id = u.model_id;

create view analytics.ingestion_by_hour as
select h.hour_start, b.stream, count(*) as batches, sum(b.received) as received,
       sum(b.stored) as stored, sum(b.duplicates) as duplicates, sum(b.conflicts) as conflicts,
       sum(b.rejected) as rejected
from analytics.ingestion_batches b
cross join lateral (select date_trunc('hour', b.committed_at, 'UTC') as hour_start) h
group by h.hour_start, b.stream;

create view analytics.export_history as
select j.job_id, j.org_id, o.name as org_name,
       case when j.status = 'succeeded' and j.expires_at <= now() then 'expired'
            else j.status end as status,
       j.format, j.granularity, j.timezone, j.range_start, j.range_end, j.initiated_by, j.revision,
       j.attempts, j.created_at, j.started_at, j.completed_at, j.expires_at, j.complete_through,
       j.row_count, j.bytes, j.checksum,
       (j.totals ->> 'invocations')::bigint as invocations,
       (j.totals ->> 'costEstimateCents')::numeric as cost_estimate_cents,
       j.error
from analytics.export_jobs j
left join analytics.orgs o on o.org_id = j.org_id;

comment on table analytics.usage_events is
  'Every inference, once: the raw events. A TimescaleDB hypertable, or native daily partitions. Kept RAW_RETENTION_DAYS.';
comment on column analytics.usage_events.org_id is 'The tenant.';
comment on column analytics.usage_events.occurred_at is
  'When the inference completed, to the millisecond, as the sender says. Part of the identity.';
comment on column analytics.usage_events.event_id is
  'The sender''s id. With org_id and occurred_at the identity: the same three again are a duplicate.';
comment on column analytics.usage_events.model_id is 'The model or endpoint that was called.';
comment on column analytics.usage_events.actor_id is 'The user, where the sender names one.';
comment on column analytics.usage_events.client_id is
  'The calling client (API key, application); empty where the sender names none.';
comment on column analytics.usage_events.latency_ms is 'How long the call took, in milliseconds.';
comment on column analytics.usage_events.status is 'How it ended: success, error, timeout, throttled.';
comment on column analytics.usage_events.error_code is 'Why it did not succeed, where the sender says.';
comment on column analytics.usage_events.input_tokens is 'Tokens of the prompt.';
comment on column analytics.usage_events.output_tokens is 'Tokens of the answer.';
comment on column analytics.usage_events.cost_estimate_cents is
  'What the call costs, in hundredths of BILLING_CURRENCY.';
comment on column analytics.usage_events.input_cost_cents is
  'The prompt''s part of the cost; null where the sender does not split it.';
comment on column analytics.usage_events.output_cost_cents is
  'The answer''s part of the cost; with input_cost_cents it adds up to the cost.';
comment on column analytics.usage_events.metadata is 'Up to 32 texts of the sender''s own.';
comment on column analytics.usage_events.batch_id is
  'The batch (ingestion_batches) that stored the event.';

comment on table analytics.ingestion_batches is
  'One row for each stored batch, written in the batch''s own transaction. Kept 35 days after folding.';
comment on column analytics.ingestion_batches.batch_id is 'Ascending with time.';
comment on column analytics.ingestion_batches.stream is
  'The stream, or partition of it; http for events stored without a stream.';
comment on column analytics.ingestion_batches.first_offset is
  'Where the batch begins in the stream; null without a stream.';
comment on column analytics.ingestion_batches.last_offset is 'Where it ends, inclusive.';
comment on column analytics.ingestion_batches.received is
  'Messages: stored + duplicates + rejected.';
comment on column analytics.ingestion_batches.stored is 'Events that were new.';
comment on column analytics.ingestion_batches.duplicates is
  'Events whose identity was stored before, or came twice in the batch.';
comment on column analytics.ingestion_batches.conflicts is
  'Those of the duplicates whose content differs from what is stored.';
comment on column analytics.ingestion_batches.rejected is
  'Messages that were no valid events and went to the dead-letter queue.';
comment on column analytics.ingestion_batches.min_occurred_at is 'The earliest event; null without events.';
comment on column analytics.ingestion_batches.max_occurred_at is 'The latest event.';
comment on column analytics.ingestion_batches.committed_at is 'When the batch was stored.';
comment on column analytics.ingestion_batches.folded_at is
  'When its events were added to the rollups; null until then.';

comment on table analytics.stream_offsets is
  'One row for each stream or partition: who reads it, how far, and totals that never fall.';
comment on column analytics.stream_offsets.stream is 'The stream, or partition of it.';
comment on column analytics.stream_offsets.owner is 'The consumer that holds the lease.';
comment on column analytics.stream_offsets.lease_expires_at is 'When another consumer may take over.';
comment on column analytics.stream_offsets.epoch is
  'Counts leases; a batch of an older epoch is refused.';
comment on column analytics.stream_offsets.committed_offset is
  'The last offset that is stored; null when nothing is.';
comment on column analytics.stream_offsets.committed_at is 'When the last batch was stored.';
comment on column analytics.stream_offsets.head_offset is 'The newest offset seen in the stream.';
comment on column analytics.stream_offsets.head_probed_at is 'When it was looked up.';
comment on column analytics.stream_offsets.target_offset is
  'The probed head that is waited for; null when it is reached.';
comment on column analytics.stream_offsets.target_probed_at is
  'When that head was looked up: once it is stored, everything received by then is.';
comment on column analytics.stream_offsets.complete_through is
  'Everything received until then is stored.';
comment on column analytics.stream_offsets.retired is
  'No longer configured, and drained: it does not count for completeness.';
comment on column analytics.stream_offsets.events_stored is 'Events stored since the beginning.';
comment on column analytics.stream_offsets.events_duplicate is 'Duplicates since the beginning.';
comment on column analytics.stream_offsets.events_conflicting is
  'Duplicates with another content since the beginning.';
comment on column analytics.stream_offsets.events_rejected is
  'Messages sent to the dead-letter queue since the beginning.';
comment on column analytics.stream_offsets.messages_lost is
  'Offsets that the stream''s retention removed before they were read.';
comment on column analytics.stream_offsets.created_at is
  'Where lag is counted from until the first probe is reached.';

comment on table analytics.usage_hourly is
  'Sums of raw events by org, UTC hour, model and client. Kept ROLLUP_RETENTION_DAYS.';
comment on table analytics.usage_daily is
  'Sums of raw events by org, UTC day, model and client. Kept ROLLUP_RETENTION_DAYS.';
comment on table analytics.error_hourly is
  'Events that did not succeed, by org, UTC hour, model, client and error code.';
comment on table analytics.error_daily is
  'Events that did not succeed, by org, UTC day, model, client and error code.';
do $$
declare
  rollup text;
  meaning text[];
begin
  foreach rollup in array array['usage_hourly', 'usage_daily', 'error_hourly', 'error_daily'] loop
    foreach meaning slice 1 in array array[
      ['org_id', 'The tenant.'],
      ['bucket_start', 'Where the UTC hour or day begins.'],
      ['model_id', 'The model or endpoint that was called.'],
      ['client_id', 'The calling client; empty where the sender names none.'],
      ['error_code', 'The sender''s error code; empty where it gave none.'],
      ['event_count', 'How many events.'],
      ['success_count', 'Events with status success.'],
      ['error_count', 'Events with status error.'],
      ['timeout_count', 'Events with status timeout.'],
      ['throttled_count', 'Events with status throttled.'],
      ['input_tokens', 'Sum of prompt tokens.'],
      ['output_tokens', 'Sum of answer tokens.'],
      ['cost_estimate_cents', 'Sum of costs, in hundredths of BILLING_CURRENCY.'],
      ['latency_histogram',
       'Sparse log-scale histogram of latencies: count * 512 + bin + 1, ordered by bin. See latency_percentile.']
    ] loop
      if exists (select from pg_attribute
                 where attrelid = format('analytics.%I', rollup)::regclass and attname = meaning[1]) then
        execute format('comment on column analytics.%I.%I is %L', rollup, meaning[1], meaning[2]);
      end if;
    end loop;
  end loop;
end
$$;

comment on table analytics.freshness_status is
  'What is known of each org and model: first and last event, and the last fold that touched them.';
comment on column analytics.freshness_status.org_id is 'The tenant.';
comment on column analytics.freshness_status.model_id is 'The model or endpoint.';
comment on column analytics.freshness_status.first_event_at is 'The earliest event in the rollups.';
comment on column analytics.freshness_status.last_event_at is 'The latest event in the rollups.';
comment on column analytics.freshness_status.last_rollup_at is
  'When events of theirs were last added to the rollups.';

comment on table analytics.job_runs is 'When each scheduled job last succeeded.';
comment on column analytics.job_runs.job is 'The job''s name.';
comment on column analytics.job_runs.last_success_at is
  'When it last succeeded; of jobs that run once in a while, when they last began.';
comment on column analytics.job_runs.last_duration_ms is 'How long that took, in milliseconds.';

comment on table analytics.counters is
  'Totals since the beginning that no other table keeps, for counters that outlive processes.';
comment on column analytics.counters.name is 'What is counted.';
comment on column analytics.counters.value is 'How many so far.';

comment on table analytics.orgs is 'Names of orgs, by npm run catalog.';
comment on column analytics.orgs.org_id is 'The tenant.';
comment on column analytics.orgs.name is 'What people call it.';
comment on column analytics.orgs.updated_at is 'When the name last changed.';
comment on table analytics.models is 'Names of models, by npm run catalog.';
comment on column analytics.models.model_id is 'The model or endpoint.';
comment on column analytics.models.name is 'What people call it.';
comment on column analytics.models.updated_at is 'When the name last changed.';

comment on table analytics.export_jobs is 'Exports: what was asked for, and what became of it.';
comment on column analytics.export_jobs.job_id is 'The export.';
comment on column analytics.export_jobs.org_id is 'The tenant; null for an export over all orgs.';
comment on column analytics.export_jobs.status is
  'pending, running, succeeded, failed or expired.';
comment on column analytics.export_jobs.format is 'csv, focus or events.';
comment on column analytics.export_jobs.granularity is 'Buckets of an hour, day or month.';
comment on column analytics.export_jobs.timezone is 'The zone whose hours, days and months they are.';
comment on column analytics.export_jobs.models is 'Only these models; null for all.';
comment on column analytics.export_jobs.range_start is 'Where the window begins.';
comment on column analytics.export_jobs.range_end is 'Where it ends, exclusive.';
comment on column analytics.export_jobs.initiated_by is 'Who asked; schedule for monthly exports.';
comment on column analytics.export_jobs.idempotency_key is
  'The Idempotency-Key of the request: the same key again gets this job.';
comment on column analytics.export_jobs.attempts is 'How often it was begun.';
comment on column analytics.export_jobs.lease_owner is 'The worker at work on it.';
comment on column analytics.export_jobs.lease_expires_at is 'When another worker may take over.';
comment on column analytics.export_jobs.next_attempt_at is 'Not to be begun before.';
comment on column analytics.export_jobs.created_at is 'When it was asked for.';
comment on column analytics.export_jobs.started_at is 'When the last attempt began.';
comment on column analytics.export_jobs.completed_at is 'When it succeeded, or failed for good.';
comment on column analytics.export_jobs.expires_at is 'When its file is removed.';
comment on column analytics.export_jobs.complete_through is
  'Everything received until then is in the file.';
comment on column analytics.export_jobs.row_count is 'Lines of the file, without its header.';
comment on column analytics.export_jobs.bytes is 'Size of the file.';
comment on column analytics.export_jobs.checksum is 'SHA-256 of the file, hexadecimal.';
comment on column analytics.export_jobs.totals is
  'Sums over the file: invocations, errors, tokens and cost.';
comment on column analytics.export_jobs.object_key is 'Where the file lies in the bucket.';
comment on column analytics.export_jobs.error is 'Why the last attempt failed.';
comment on column analytics.export_jobs.object_etag is
  'The stored file''s ETag: a file changed behind our back is not handed out.';
comment on column analytics.export_jobs.revision is
  'Of a scheduled monthly export: 1, then one more for each restatement.';

comment on table analytics.migrations is 'The migrations that were applied.';
comment on column analytics.migrations.name is 'The file.';
comment on column analytics.migrations.checksum is 'SHA-256 of the file as it was applied.';
comment on column analytics.migrations.applied_at is 'When.';

comment on table analytics.data_quality_runs is
  'What each run of verify found. Kept 90 days.';
comment on column analytics.data_quality_runs.run_id is 'The run.';
comment on column analytics.data_quality_runs.trigger is
  'schedule, command (npm run verify), or repair (verified again after --repair).';
comment on column analytics.data_quality_runs.started_at is 'When it began.';
comment on column analytics.data_quality_runs.finished_at is 'When it was done.';
comment on column analytics.data_quality_runs.window_start is
  'The first UTC day whose rollups were compared with raw events.';
comment on column analytics.data_quality_runs.window_end is 'The end of the last one, exclusive.';
comment on column analytics.data_quality_runs.passed is 'Whether there was no failure.';
comment on column analytics.data_quality_runs.failures is 'Every failure, in words.';
comment on column analytics.data_quality_runs.buckets is
  'Buckets compared: an org''s hours and days with events.';
comment on column analytics.data_quality_runs.drifted_buckets is
  'Those that drift more than 0.5% in any measure.';
comment on column analytics.data_quality_runs.drift_ratio_hourly is
  'The greatest drift of an org''s hour, 0 to 1: difference over the larger of raw and rollup.';
comment on column analytics.data_quality_runs.drift_ratio_daily is
  'The greatest drift of an org''s day.';
comment on column analytics.data_quality_runs.events_24h is
  'Events of the last 24 hours, by occurred_at.';
comment on column analytics.data_quality_runs.doubled_event_ids is
  'Event ids of those that are stored under two identities: failed deduplications.';
comment on column analytics.data_quality_runs.dedupe_failure_ratio is
  'The greater of doubled_event_ids / events_24h and drifted_buckets / buckets.';
comment on column analytics.data_quality_runs.freshness_lag_seconds is
  'Seconds since the time up to which everything received is stored; null before the first probe.';
comment on column analytics.data_quality_runs.offset_gaps is
  'Stretches of a stream that no batch stored and nothing explains.';
comment on column analytics.data_quality_runs.missing_partitions is
  'Of today and tomorrow, the days without a partition; none with TimescaleDB.';
comment on column analytics.data_quality_runs.exports_checked is
  'Recent exports compared with what their windows hold now.';
comment on column analytics.data_quality_runs.exports_restated is
  'Those of closed windows that late events changed since.';
comment on column analytics.data_quality_runs.exports_wrong is
  'Those whose difference late events do not explain.';
comment on column analytics.data_quality_runs.synthetic_check is
  'Whether this hour''s known events are answered exactly: passed, failed, waiting, or off.';
comment on column analytics.data_quality_runs.details is
  'Up to 20 each of the furthest drifts, the gaps and the exports that changed, and what the synthetic check saw.';

comment on view analytics.usage_by_hour is
  'usage_hourly with names and percentiles. What is stored and not yet folded (seconds) is missing.';
comment on view analytics.usage_by_day is
  'usage_daily with names and percentiles. What is stored and not yet folded (seconds) is missing.';
do $$
declare
  usage text;
  meaning text[];
begin
  foreach usage in array array['usage_by_hour', 'usage_by_day'] loop
    foreach meaning slice 1 in array array[
      ['bucket_start', 'Where the UTC hour or day begins.'],
      ['org_id', 'The tenant.'],
      ['org_name', 'Its name; null where the catalog has none.'],
      ['model_id', 'The model or endpoint.'],
      ['model_name', 'Its name; null where the catalog has none.'],
      ['client_id', 'The calling client; null where the sender names none.'],
      ['invocations', 'Events of every status.'],
      ['errors', 'Events with status error, timeout or throttled.'],
      ['success_count', 'Events with status success.'],
      ['error_count', 'Events with status error.'],
      ['timeout_count', 'Events with status timeout.'],
      ['throttled_count', 'Events with status throttled.'],
      ['input_tokens', 'Sum of prompt tokens.'],
      ['output_tokens', 'Sum of answer tokens.'],
      ['tokens_total', 'input_tokens + output_tokens.'],
      ['cost_estimate_cents', 'Sum of costs, in hundredths of BILLING_CURRENCY.'],
      ['error_rate', 'errors / invocations, 0 to 1.'],
      ['latency_p50_ms', 'Median latency, within 2%. Percentiles of rows do not add up: never average them.'],
      ['latency_p95_ms', '95th percentile of latency, within 2%.'],
      ['latency_p99_ms', '99th percentile of latency, within 2%.']
    ] loop
      execute format('comment on column analytics.%I.%I is %L', usage, meaning[1], meaning[2]);
    end loop;
  end loop;
end
$$;

comment on view analytics.ingestion_by_hour is
  'Batches by UTC hour and stream: what came in and what became of it. 35 days.';
comment on column analytics.ingestion_by_hour.hour_start is 'Where the UTC hour begins.';
comment on column analytics.ingestion_by_hour.stream is 'The stream, or partition of it.';
comment on column analytics.ingestion_by_hour.batches is 'Batches stored in that hour.';
comment on column analytics.ingestion_by_hour.received is 'Messages: stored + duplicates + rejected.';
comment on column analytics.ingestion_by_hour.stored is 'Events that were new.';
comment on column analytics.ingestion_by_hour.duplicates is 'Events that were stored before.';
comment on column analytics.ingestion_by_hour.conflicts is
  'Those of the duplicates whose content differs.';
comment on column analytics.ingestion_by_hour.rejected is 'Messages sent to the dead-letter queue.';

comment on view analytics.export_history is
  'export_jobs without the worker''s bookkeeping, with the org''s name and the main totals.';
do $$
declare
  exported record;
begin
  for exported in
    select view.attname as name, col_description('analytics.export_jobs'::regclass, jobs.attnum) as meaning
    from pg_attribute view
    join pg_attribute jobs on jobs.attname = view.attname
     and jobs.attrelid = 'analytics.export_jobs'::regclass
    where view.attrelid = 'analytics.export_history'::regclass and view.attnum > 0
  loop
    execute format('comment on column analytics.export_history.%I is %L', exported.name, exported.meaning);
  end loop;
end
$$;
comment on column analytics.export_history.org_name is
  'The org''s name; null over all orgs, or where the catalog has none.';
comment on column analytics.export_history.invocations is 'Events in the file''s sums.';
comment on column analytics.export_history.cost_estimate_cents is 'Sum of the file''s costs.';

comment on function analytics.latency_percentile is
  'A percentile of a latency histogram in whole milliseconds, within 2%; share 0.95 for p95.';
comment on function analytics.merge_histograms is 'Two latency histograms as one.';
