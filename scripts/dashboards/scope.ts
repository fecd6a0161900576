/** SQL that the dashboards' panels share. Grafana fills in the variables, then its macros. */

/** The rollup table that the variable chooses. */
export const rollup = `analytics.\${rollup:raw}`;

/** Rows `d` of the orgs and models chosen. The variables become lists of quoted ids, or queries. */
export const chosen = `d.org_id in (\${org:sqlstring}) and d.model_id in (\${model:sqlstring})`;

/** Of these, the buckets that begin in the panel's time range. */
export const inRange = `${chosen} and $__timeFilter(d.bucket_start)`;

export const invocations = 'd.success_count + d.error_count + d.timeout_count + d.throttled_count';
export const failures = 'd.error_count + d.timeout_count + d.throttled_count';

/** Whole units of BILLING_CURRENCY: a chart needs no NUMERIC. */
export const spend = 'sum(d.cost_estimate_cents)::float8 / 100';

/**
 * The catalog's orgs or models, each with a name that no other has: the id stands behind a name that
 * several share. A name tells apart only by itself: always group by the id too.
 */
export function namedApart(table: 'orgs' | 'models'): string {
  const id = table === 'orgs' ? 'org_id' : 'model_id';
  return `(
  select ${id}, case when count(*) over (partition by name) = 1 then name
       else concat(name, ' (', ${id}, ')') end as name
  from analytics.${table}
)`;
}

export const modelName = `coalesce(m.name, d.model_id::text)`;
export const orgName = `coalesce(o.name, d.org_id::text)`;
export const joinModels = `left join ${namedApart('models')} m on m.model_id = d.model_id`;
export const joinOrgs = `left join ${namedApart('orgs')} o on o.org_id = d.org_id`;

/** `measure` over time, one line for each org or model. */
export function seriesBy(name: 'org' | 'model', measure: string, as: string): string {
  const [label, join] = name === 'org' ? [orgName, joinOrgs] : [modelName, joinModels];
  return `select d.bucket_start as time, ${label} as metric, ${measure} as "${as}"
from ${rollup} d ${join}
where ${inRange}
group by 1, 2, d.${name}_id
order by 1, 2`;
}

/** `measure` over the time range, as one number. */
export function totalOf(measure: string, as: string): string {
  return `select ${measure} as "${as}"
from ${rollup} d
where ${inRange}`;
}

/**
 * Prometheus' series by org, under the orgs' names: for the legend `{{org_name}}`. Replicas that
 * were not all asked since an org was renamed tell two names of it: one is taken.
 */
export function namedByOrg(metric: string): string {
  return (
    `max by (org_id) (${metric})\n` +
    '  * on (org_id) group_left (org_name) topk by (org_id) (1, analytics_org_info)'
  );
}
