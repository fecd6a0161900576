-- Usage events, their batches and offsets, the rollups, and who reads what. Times are UTC instants.

create type analytics.usage_status as enum ('success', 'error', 'timeout', 'throttled');

-- A hypertable where TimescaleDB is installed, native daily partitions elsewhere; the columns and
-- keys are the same. The time column must be part of any unique key on either. In this order new
-- rows land on the right edge of each org's range, and the same index serves every range read.
do $$
declare
  columns constant text := $columns$
    org_id uuid not null,
    occurred_at timestamptz not null,
    event_id uuid not null,
    model_id uuid not null,
    actor_id uuid,
    client_id text not null,
    latency_ms integer not null,
    status analytics.usage_status not null,
    error_code text,
    input_tokens bigint not null,
    output_tokens bigint not null,
    cost_estimate_cents numeric(18, 4) not null,
    input_cost_cents numeric(18, 4),
    output_cost_cents numeric(18, 4),
    metadata jsonb,
    batch_id bigint not null,
    constraint usage_events_pkey primary key (org_id, occurred_at, event_id)
  $columns$;
begin
  if exists (select from pg_extension where extname = 'timescaledb') then
    execute format('create table analytics.usage_events (%s)', columns);
    perform create_hypertable(
      'analytics.usage_events', 'occurred_at',
      chunk_time_interval => interval '1 day', create_default_indexes => false
    );
  else
    -- No default partition: it forbids concurrent detach and blocks attach.
    execute format('create table analytics.usage_events (%s) partition by range (occurred_at)', columns);
  end if;
end
$$;

-- Finds the rows of a batch. A btree would take 35 MB where this takes 232 kB, and 15% of ingest.
create index usage_events_batch_idx on analytics.usage_events
  using brin (batch_id) with (pages_per_range = 16, autosummarize = on);

create table analytics.ingestion_batches (
  batch_id bigint generated always as identity primary key,
  stream text not null,
  first_offset bigint,
  last_offset bigint,
  received integer not null,
  stored integer not null,
  duplicates integer not null,
  conflicts integer not null,
  rejected integer not null,
  min_occurred_at timestamptz,
  max_occurred_at timestamptz,
  committed_at timestamptz not null default clock_timestamp(),
  folded_at timestamptz
);
create index ingestion_batches_pending_idx on analytics.ingestion_batches (batch_id)
  where folded_at is null;

-- One row for each stream (or partition of it): who reads it, how far, and what came of it.
create table analytics.stream_offsets (
  stream text primary key,
  owner text,
  lease_expires_at timestamptz,
  epoch bigint not null default 0,
  committed_offset bigint,
  committed_at timestamptz,
  -- The newest offset seen in the stream, and when.
  head_offset bigint,
  head_probed_at timestamptz,
  -- The probe that is waited for: once committed_offset reaches target_offset, everything
  -- received before target_probed_at is stored.
  target_offset bigint,
  target_probed_at timestamptz,
  complete_through timestamptz,
  -- No longer configured, and drained: its row no longer counts for completeness.
  retired boolean not null default false,
  -- Totals since the beginning, for counters that outlive processes.
  events_stored bigint not null default 0,
  events_duplicate bigint not null default 0,
  events_conflicting bigint not null default 0,
  events_rejected bigint not null default 0,
  messages_lost bigint not null default 0,
  -- Where lag is counted from until the first probe is reached.
  created_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

create table analytics.usage_hourly (
  org_id uuid not null,
  bucket_start timestamptz not null,
  model_id uuid not null,
  client_id text not null,
  success_count bigint not null,
  error_count bigint not null,
  timeout_count bigint not null,
  throttled_count bigint not null,
  -- A sum of bigints can pass bigint.
  input_tokens numeric not null,
  output_tokens numeric not null,
  cost_estimate_cents numeric not null,
  -- Sparse log-scale histogram: count * 512 + bin + 1, ordered by bin.
  latency_histogram bigint[] not null,
  primary key (org_id, bucket_start, model_id, client_id)
) with (fillfactor = 85);
create table analytics.usage_daily (
  like analytics.usage_hourly including all
) with (fillfactor = 85);
-- For the listing of all orgs, the one read that has no tenant.
create index usage_daily_bucket_idx on analytics.usage_daily (bucket_start);
create index usage_hourly_bucket_idx on analytics.usage_hourly using brin (bucket_start);

create table analytics.error_hourly (
  org_id uuid not null,
  bucket_start timestamptz not null,
  model_id uuid not null,
  client_id text not null,
  -- '' where the event gave no code.
  error_code text not null,
  event_count bigint not null,
  primary key (org_id, bucket_start, model_id, client_id, error_code)
) with (fillfactor = 85);
create table analytics.error_daily (
  like analytics.error_hourly including all
) with (fillfactor = 85);

create table analytics.freshness_status (
  org_id uuid not null,
  model_id uuid not null,
  first_event_at timestamptz not null,
  last_event_at timestamptz not null,
  last_rollup_at timestamptz not null,
  primary key (org_id, model_id)
) with (fillfactor = 85);

create table analytics.job_runs (
  job text primary key,
  last_success_at timestamptz not null,
  last_duration_ms bigint not null
) with (fillfactor = 50);

create table analytics.orgs (
  org_id uuid primary key,
  name text not null,
  updated_at timestamptz not null default now()
);
create table analytics.models (
  model_id uuid primary key,
  name text not null,
  updated_at timestamptz not null default now()
);

create table analytics.export_jobs (
  job_id uuid primary key,
  -- Null is an admin's export over all orgs.
  org_id uuid,
  status text not null default 'pending'
    check (status in ('pending', 'running', 'succeeded', 'failed', 'expired')),
  format text not null check (format in ('csv', 'focus', 'events')),
  granularity text not null check (granularity in ('hour', 'day', 'month')),
  timezone text not null,
  models uuid[],
  range_start timestamptz not null,
  range_end timestamptz not null,
  initiated_by text not null,
  idempotency_key text,
  attempts integer not null default 0,
  lease_owner text,
  lease_expires_at timestamptz,
  next_attempt_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  started_at timestamptz,
  completed_at timestamptz,
  expires_at timestamptz,
  complete_through timestamptz,
  row_count bigint,
  bytes bigint,
  checksum text,
  totals jsonb,
  object_key text,
  error text,
  check (range_start < range_end)
);
create index export_jobs_org_idx on analytics.export_jobs (org_id, created_at desc, job_id);
create index export_jobs_waiting_idx on analytics.export_jobs (next_attempt_at)
  where status in ('pending', 'running');
create unique index export_jobs_idempotency_idx
  on analytics.export_jobs (org_id, initiated_by, idempotency_key) nulls not distinct
  where idempotency_key is not null;

-- Two packed histograms as one: counts of the same bin add up.
create function analytics.merge_histograms(a bigint[], b bigint[]) returns bigint[]
language sql immutable parallel safe as $$
  select coalesce(array_agg(events * 512 + bin order by bin), '{}')
  from (
    select packed & 511 as bin, sum(packed >> 9)::bigint as events
    from (select unnest(a) as packed union all select unnest(b)) as both_sides
    group by 1
  ) as merged
$$;
