-- What a finished export is known by, and numbers that must never fall.

alter table analytics.export_jobs
  -- The stored file's, so that a file changed behind our back is not handed out.
  add column object_etag text,
  -- Which file of its month a scheduled export is: 1, then one more for each restatement.
  add column revision integer;

create index export_jobs_expiry_idx on analytics.export_jobs (expires_at)
  where status = 'succeeded';
create unique index export_jobs_schedule_idx
  on analytics.export_jobs (range_start, org_id, revision)
  where revision is not null;

-- Totals since the beginning that no other table keeps: for counters that outlive processes.
create table analytics.counters (
  name text primary key,
  value bigint not null
) with (fillfactor = 50);
