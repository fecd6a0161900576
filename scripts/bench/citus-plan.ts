/** How the tables would lie on Citus. Held by test/citus.test.ts, shown in docs/scaling.md. */
export const distributionColumn = 'org_id';

/** One shard holds an org's rows of all of them. */
export const distributedTables = [
  'usage_events',
  'usage_hourly',
  'usage_daily',
  'error_hourly',
  'error_daily',
  'freshness_status',
] as const;

/** Copied to every node: small, and read beside an org's rows; written once for a batch at most. */
export const referenceTables = ['orgs', 'models', 'ingestion_batches'] as const;

/** Stay on the coordinator, and why. */
export const coordinatorTables: Readonly<Record<string, string>> = {
  stream_offsets: 'a row for each partition of the stream',
  consumers: 'a row for each consumer',
  dead_letter_queues: 'one row',
  export_jobs: 'a queue: claimed by any worker, of one org or of all, never joined with events',
  data_quality_runs: 'a row for each run of verify',
  job_runs: 'a row for each job',
  counters: 'a row for each counter',
  migrations: 'a row for each migration',
};

/** The calls that make it so, in order. */
export const citusCalls: readonly string[] = [
  ...distributedTables.map((table, index) => {
    const beside = index === 0 ? '' : `, colocate_with => 'analytics.${distributedTables[0]}'`;
    return `select create_distributed_table('analytics.${table}', '${distributionColumn}'${beside});`;
  }),
  ...referenceTables.map((table) => `select create_reference_table('analytics.${table}');`),
  ...Object.keys(coordinatorTables).map(
    (table) => `select citus_add_local_table_to_metadata('analytics.${table}');`,
  ),
];
