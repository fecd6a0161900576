-- Tenants apart in the database too. A request runs as one of two roles, by `set local role` in its
-- transaction's BEGIN, so that it works through poolers and leaves nothing behind:
--   analytics_tenant    sees the views in the schema analytics_tenant: rows of the org in app.org,
--                       none without it, and no table, partition or chunk;
--   analytics_operator  reads every org's rows, for admins and metrics.
-- Not row-level security: on a hypertable it excludes compression.

-- Roles are the cluster's, not the database's: another database may have made them, or be at it.
do $$
declare
  role_name text;
begin
  foreach role_name in array array['analytics_tenant', 'analytics_operator'] loop
    begin
      if not exists (select from pg_roles where rolname = role_name) then
        execute format('create role %I nologin', role_name);
      end if;
      -- The owner may take them on as well: jobs and `npm start` connect as the owner.
      if not exists (
        select from pg_auth_members m
        where m.roleid = role_name::regrole and m.member = current_user::regrole
          -- Since PostgreSQL 16 who makes a role is its member without the right to take it on.
          and coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
      ) then
        execute format('grant %I to %I', role_name, current_user);
      end if;
    exception when duplicate_object or unique_violation then
      null;
    end;
  end loop;
exception when insufficient_privilege then
  raise exception using
    errcode = 'insufficient_privilege',
    message = format(
      'this user may not make roles. Let one who may run: create role analytics_tenant nologin; '
      'create role analytics_operator nologin; grant analytics_tenant, analytics_operator to %I; '
      'and then migrate again', current_user);
end
$$;

create schema analytics_tenant;

-- The condition is a scalar subquery, which is worked out once: with the bare expression every
-- segment of a compressed chunk is read. Only leakproof operators pass a barrier: those of uuid,
-- timestamptz, bigint and text do, so that time bounds still choose partitions.
do $$
declare
  columns_of record;
begin
  for columns_of in
    select * from (values
      -- What answers are made of; not who called, nor what senders have added.
      ('usage_events', 'org_id, occurred_at, model_id, client_id, latency_ms, status, error_code,
         input_tokens, output_tokens, cost_estimate_cents, batch_id'),
      ('usage_hourly', '*'),
      ('usage_daily', '*'),
      ('error_hourly', '*'),
      ('error_daily', '*'),
      ('freshness_status', '*'),
      ('orgs', 'org_id, name'),
      -- Without the worker's bookkeeping.
      ('export_jobs', 'job_id, org_id, status, format, granularity, timezone, models, range_start,
         range_end, initiated_by, idempotency_key, attempts, created_at, started_at, completed_at,
         expires_at, complete_through, row_count, bytes, checksum, totals, object_key, object_etag,
         revision, error')
    ) as relations (name, columns)
  loop
    execute format(
      'create view analytics_tenant.%1$I with (security_barrier%3$s) as
         select %2$s from analytics.%1$I
         where org_id = (select nullif(current_setting(''app.org'', true), '''')::uuid)',
      columns_of.name, columns_of.columns,
      case when columns_of.name = 'export_jobs' then ', check_option = local' else '' end);
  end loop;
end
$$;

-- Bookkeeping without anybody's data: which raw events are not in the rollups yet, and up to when
-- everything is stored.
create view analytics_tenant.ingestion_batches with (security_barrier) as
  select batch_id, min_occurred_at, max_occurred_at, folded_at
  from analytics.ingestion_batches
  where folded_at is null;
create view analytics_tenant.stream_offsets with (security_barrier) as
  select retired, complete_through from analytics.stream_offsets;

-- Models belong to no org, and their names may say much of whoever has them: one is told to those
-- who know the id. A view of the models that an org has used would miss those not yet folded.
create function analytics_tenant.model_name(id uuid) returns text
language sql stable parallel safe security definer set search_path = '' as $$
  select name from analytics.models where model_id = id
$$;
revoke execute on function analytics_tenant.model_name from public;

grant usage on schema analytics_tenant to analytics_tenant;
grant select on all tables in schema analytics_tenant to analytics_tenant;
grant execute on function analytics_tenant.model_name to analytics_tenant;
grant insert (job_id, org_id, format, granularity, timezone, models, range_start, range_end,
              initiated_by, idempotency_key)
  on analytics_tenant.export_jobs to analytics_tenant;

grant usage on schema analytics to analytics_operator;
grant select on
  analytics.usage_events, analytics.usage_hourly, analytics.usage_daily, analytics.error_hourly,
  analytics.error_daily, analytics.freshness_status, analytics.orgs, analytics.models,
  analytics.export_jobs, analytics.ingestion_batches, analytics.stream_offsets, analytics.counters,
  analytics.job_runs, analytics.dead_letter_queues, analytics.data_quality_runs
  to analytics_operator;
grant insert (job_id, org_id, format, granularity, timezone, models, range_start, range_end,
              initiated_by, idempotency_key)
  on analytics.export_jobs to analytics_operator;
-- What the dead-letter sink counts.
grant insert, update (value) on analytics.counters to analytics_operator;
