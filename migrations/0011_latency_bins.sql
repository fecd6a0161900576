-- Percentiles within 2% for small latencies too: a bin's value comes from the whole milliseconds that
-- it can hold, and has a decimal where a whole number would be further off. 30 ms was told as 31.
-- Stored bins stay as they are.

-- As binValueMs of shared/rollups/histogram.ts.
create function analytics.latency_bin_ms(bin integer) returns numeric
language sql immutable parallel safe as $$
  select case
           when bin < 0 then 0
           when 50 * abs(round(mean) - first) < first and 50 * abs(round(mean) - last) < last
             then round(mean)
           else trim_scale(round(mean, 1))
         end
  from (
    select first, last, 2 * first * last / (first + last) as mean
    from (
      select floor(exp((bin - 1) / 25.0::double precision))::numeric + 1 as first,
             floor(exp(bin / 25.0::double precision))::numeric as last
    ) as held
  ) as means
$$;
comment on function analytics.latency_bin_ms is
  'The milliseconds that stand for a bin of a latency histogram, within 2% of all that it holds.';

-- A column's type cannot change in a view that is replaced. So the two views are made again, as they
-- were, with their comments and with the rights that others were given on them.
create temporary table remade on commit drop as
with views as (
  select oid, oid::regclass::text as name, relowner, relacl
  from pg_class
  where oid in ('analytics.usage_by_hour'::regclass, 'analytics.usage_by_day'::regclass)
), columns as (
  select v.*, a.attname, a.attacl, col_description(v.oid, a.attnum) as comment
  from views v join pg_attribute a on a.attrelid = v.oid and a.attnum > 0
), granted as (
  select name, relowner, '' as of_column, aclexplode(relacl) as one from views
  union all
  select name, relowner, format(' (%I)', attname), aclexplode(attacl) from columns
)
select 1 as place, format('create view %s as %s', name, pg_get_viewdef(oid)) as statement from views
union all
select 2, format('comment on view %s is %L', name, obj_description(oid, 'pg_class')) from views
union all
select 2, format('comment on column %s.%I is %L', name, attname, comment) from columns
union all
select 3, format('grant %s%s on %s to %s%s', (one).privilege_type, of_column, name,
                 case (one).grantee when 0 then 'public' else (one).grantee::regrole::text end,
                 case when (one).is_grantable then ' with grant option' else '' end)
from granted
where (one).grantee <> relowner;

drop view analytics.usage_by_hour;
drop view analytics.usage_by_day;
drop function analytics.latency_percentile;

-- The smallest bin that reaches its share of the events, as the API has it; null without events.
create function analytics.latency_percentile(histogram bigint[], share double precision)
returns numeric
language sql immutable parallel safe as $$
  select analytics.latency_bin_ms(bin)
  from (
    select bin
    from (
      select (packed & 511)::integer - 1 as bin,
             (sum(packed >> 9) over (order by packed & 511))::double precision as upto,
             (sum(packed >> 9) over ())::double precision as of_all
      from unnest(histogram) as packed
    ) as bins
    where upto >= share * of_all
    order by bin
    limit 1
  ) as reached
$$;
comment on function analytics.latency_percentile is
  'A percentile of a latency histogram in milliseconds, within 2%: whole where that is, else with one decimal; share 0.95 for p95.';

do $$
declare
  step record;
begin
  for step in select statement from remade order by place loop
    execute step.statement;
  end loop;
end
$$;
