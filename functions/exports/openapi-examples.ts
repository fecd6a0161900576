import { formulaRule } from '../../shared/exports/formula-guard.ts';
import { exampleIds, exampleSums, exampleWeek } from '../../shared/openapi/examples.ts';

/** Where exports are, and whose. */
export interface Home {
  path: '/orgs/{orgId}/exports' | '/exports';
  /** Ends operation ids. */
  suffix: '' | 'OfAllOrgs';
  whose: string;
  isAllOrgs: boolean;
}

const exampleChecksum = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';

/** A job as it was asked for, or with its file. */
export function exampleJob({ path, isAllOrgs }: Home, isDone: boolean) {
  const orgId = isAllOrgs ? null : exampleIds.org;
  const uri = `/analytics/v1${path.replace('{orgId}', exampleIds.org)}/${exampleIds.job}/download`;
  return {
    jobId: exampleIds.job,
    orgId,
    status: isDone ? 'succeeded' : 'pending',
    granularity: 'daily',
    timezone: 'UTC',
    models: null,
    format: 'csv',
    timeRange: exampleWeek,
    createdAt: '2026-11-22T20:00:00.000Z',
    startedAt: isDone ? '2026-11-22T20:00:01.040Z' : null,
    completedAt: isDone ? '2026-11-22T20:00:03.120Z' : null,
    expiresAt: isDone ? '2027-02-20T20:00:03.120Z' : null,
    completeThrough: isDone ? '2026-11-22T20:00:00.260Z' : null,
    rowCount: isDone ? 84 : null,
    bytes: isDone ? 17203 : null,
    checksum: isDone ? exampleChecksum : null,
    totals: isDone ? exampleSums : null,
    outputUri: isDone ? uri : null,
    error: null,
    attempts: isDone ? 1 : 0,
    initiatedBy: 'finance@example.com',
  };
}

export function exampleManifest({ isAllOrgs }: Home) {
  const orgId = isAllOrgs ? null : exampleIds.org;
  return {
    jobId: exampleIds.job,
    orgId,
    format: 'csv',
    objectKey: `analytics/exports/${orgId ?? 'all'}/${exampleIds.job}.csv`,
    generatedAt: '2026-11-22T20:00:03.010Z',
    granularity: 'daily',
    timezone: 'UTC',
    timeRange: exampleWeek,
    models: null,
    completeThrough: '2026-11-22T20:00:00.260Z',
    columns: ['bucket_start', 'org_id', 'org_name', 'model_id', 'model_name', 'invocations'],
    rowCount: 84,
    bytes: 17203,
    checksum: { algorithm: 'SHA-256', value: exampleChecksum },
    totals: exampleSums,
    csv: {
      charset: 'UTF-8',
      lineEnd: 'CRLF',
      quoting: 'RFC 4180',
      formulas: formulaRule,
    },
  };
}
