-- Why an attempt of an export failed names folders, endpoints and settings: that is for operators.
-- Those who asked for it are told in `error` what concerns them. The tenants' view has no reason.
alter table analytics.export_jobs add column error_reason text;
comment on column analytics.export_jobs.error is
  'Why the last attempt failed, as those who asked are told.';
comment on column analytics.export_jobs.error_reason is
  'Why the last attempt failed, with what an operator needs to mend it.';
update analytics.export_jobs
set error_reason = error, error = 'the attempt failed'
where error is not null;

create or replace view analytics.export_history as
select j.job_id, j.org_id, o.name as org_name,
       case when j.status = 'succeeded' and j.expires_at <= now() then 'expired'
            else j.status end as status,
       j.format, j.granularity, j.timezone, j.range_start, j.range_end, j.initiated_by, j.revision,
       j.attempts, j.created_at, j.started_at, j.completed_at, j.expires_at, j.complete_through,
       j.row_count, j.bytes, j.checksum,
       (j.totals ->> 'invocations')::bigint as invocations,
       (j.totals ->> 'costEstimateCents')::numeric as cost_estimate_cents,
       j.error, j.error_reason
from analytics.export_jobs j
left join analytics.orgs o on o.org_id = j.org_id;
comment on column analytics.export_history.error is
  'Why the last attempt failed, as those who asked are told.';
comment on column analytics.export_history.error_reason is
  'Why the last attempt failed, with what an operator needs to mend it.';
