import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import { exportFormats, exportStatuses, granularityNames } from '../../shared/exports/job.ts';
import {
  count,
  instant,
  nextCursor,
  usageTotals,
  uuid,
} from '../../shared/openapi/answer-parts.ts';
import { exampleIds, exampleWeek } from '../../shared/openapi/examples.ts';
import type { Content, Operation, Refusal } from '../../shared/openapi/operation.ts';
import { listParameters } from './app.ts';
import { exampleJob, exampleManifest, type Home } from './openapi-examples.ts';
import { exportBody, keyForm } from './request.ts';

const exportRequest = exportBody.meta({ id: 'ExportRequest' });
const idempotencyKey = z
  .string()
  .regex(keyForm)
  .optional()
  .describe('The same key and request again answer with the first job instead of a second.');

const timeRange = z.object({ start: instant, end: instant });
const models = z.array(uuid).nullable().describe('Null for all.');
const granularity = z.enum(Object.values(granularityNames));

export const exportJob = z
  .object({
    jobId: uuid,
    orgId: uuid.nullable().describe('Null where it is over all orgs.'),
    status: z.enum(exportStatuses),
    granularity,
    timezone: z.string(),
    models,
    format: z.enum(exportFormats),
    timeRange,
    createdAt: instant,
    startedAt: instant.nullable(),
    completedAt: instant.nullable(),
    expiresAt: instant.nullable().describe('When the file is removed.'),
    completeThrough: instant.nullable().describe('As in answers about usage, of the file.'),
    rowCount: count.nullable(),
    bytes: count.nullable(),
    checksum: z.string().nullable().describe('SHA-256 of the file, hexadecimal.'),
    totals: usageTotals.nullable().describe('Sums over the file.'),
    outputUri: z
      .string()
      .nullable()
      .describe('Path of this API where it is downloaded; null until then.'),
    error: z
      .string()
      .nullable()
      .describe(
        'Why the last attempt failed, in words for those who asked; operators of the service have the reason.',
      ),
    attempts: count,
    initiatedBy: z.string(),
  })
  .meta({ id: 'ExportJob' });

export const exportsAnswer = z
  .object({ items: z.array(exportJob), nextCursor })
  .meta({ id: 'ExportsAnswer' });

const manifest = z
  .object({
    jobId: uuid,
    orgId: uuid.nullable(),
    format: z.enum(exportFormats),
    focusVersion: z.string().optional().describe('Where the format is focus.'),
    billingCurrency: z.string().optional().describe('Where the format is focus.'),
    providerName: z.string().optional().describe('Where the format is focus.'),
    objectKey: z.string(),
    revision: count.optional().describe('Of a scheduled monthly export.'),
    generatedAt: instant,
    granularity,
    timezone: z.string(),
    timeRange,
    models,
    completeThrough: instant.nullable(),
    columns: z.array(z.string()),
    rowCount: count,
    bytes: count,
    checksum: z.object({ algorithm: z.literal('SHA-256'), value: z.string() }),
    totals: usageTotals,
    csv: z
      .object({
        charset: z.string(),
        lineEnd: z.string(),
        quoting: z.string(),
        formulas: z.string().describe('What keeps cells from being run as formulas.'),
      })
      .describe('How the file is written.'),
  })
  .meta({ id: 'ExportManifest' });

const link = z
  .object({
    url: z.string().describe('Signed: whoever has it may fetch the file.'),
    filename: z.string().describe('What the file is saved as.'),
    urlExpiresAt: instant,
  })
  .meta({ id: 'ExportLink' });

const preference = z
  .string()
  .optional()
  .describe('`return=representation` (RFC 7240): the address rather than a redirect to it.');

const homes: readonly Home[] = [
  { path: '/orgs/{orgId}/exports', suffix: '', whose: 'of an org', isAllOrgs: false },
  { path: '/exports', suffix: 'OfAllOrgs', whose: 'over all orgs', isAllOrgs: true },
];

export const exportsOperations: readonly Operation[] = homes.flatMap(operationsAt);

function operationsAt(home: Home): Operation[] {
  const { path, suffix, whose, isAllOrgs } = home;
  const common = { tag: 'Exports', usesStores: true } as const;
  const access = (role: (typeof roles)[keyof typeof roles]) => [isAllOrgs ? roles.admin : role];
  const notFound: Refusal = { detail: `there is no export ${exampleIds.job} here` };
  const notReady: Refusal = {
    detail: 'the export is running: ask for its status until it has succeeded',
  };
  const expired: Refusal = {
    detail: 'the export expired at 2027-02-20T20:00:03.120Z: ask for it anew',
  };
  const unknownParameter: Refusal = {
    detail: 'format is not a parameter here',
    errors: [{ path: 'format', message: 'is not a parameter here' }],
  };
  return [
    {
      ...common,
      method: 'post',
      path,
      operationId: `createExport${suffix}`,
      summary: `Ask for an export ${whose}`,
      description:
        'Made in the background, from one snapshot of the database. Follow `Location` until the ' +
        'status is `succeeded`.',
      access: access(roles.exportsCreate),
      headers: { 'Idempotency-Key': idempotencyKey },
      body: {
        'application/json': {
          schema: exportRequest,
          examples: { daily: { timeRange: exampleWeek, granularity: 'daily', format: 'csv' } },
        },
      },
      answers: {
        202: {
          description: 'The job.',
          headers: { Location: 'Path of the job.' },
          content: jobContent(home, false),
        },
      },
      refusals: {
        invalid_request: {
          detail: 'timeRange.end must be after start',
          errors: [{ path: 'timeRange.end', message: 'must be after start' }],
        },
        conflict: {
          detail: 'Idempotency-Key was used for another export: take a new key for a new request',
          errors: [
            {
              path: 'Idempotency-Key',
              message: 'was used for another export: take a new key for a new request',
            },
          ],
        },
        too_many_requests: {
          detail: '50 exports are already waiting: ask again when some of them are done',
        },
      },
    },
    {
      ...common,
      method: 'get',
      path,
      operationId: `listExports${suffix}`,
      summary: `Exports ${whose}`,
      description: 'Newest first.',
      access: access(roles.exportsRead),
      query: listParameters.shape,
      answers: {
        200: {
          description: 'A page of jobs.',
          content: {
            'application/json': {
              schema: exportsAnswer,
              examples: { lastPage: { items: [exampleJob(home, true)], nextCursor: null } },
            },
          },
        },
      },
      refusals: {
        invalid_request: {
          detail: 'cursor must be the nextCursor of an earlier answer',
          errors: [{ path: 'cursor', message: 'must be the nextCursor of an earlier answer' }],
        },
      },
    },
    {
      ...common,
      method: 'get',
      path: `${path}/{jobId}`,
      operationId: `getExport${suffix}`,
      summary: `An export ${whose}`,
      description: 'Ask until its status is `succeeded` or `failed`.',
      access: access(roles.exportsRead),
      answers: { 200: { description: 'The job.', content: jobContent(home, true) } },
      refusals: { invalid_request: unknownParameter, not_found: notFound },
    },
    {
      ...common,
      method: 'get',
      path: `${path}/{jobId}/manifest`,
      operationId: `getExportManifest${suffix}`,
      summary: `The manifest of an export ${whose}`,
      description: 'What is needed to check the file and to know what it says.',
      access: access(roles.exportsRead),
      answers: {
        200: {
          description: 'The manifest.',
          content: {
            'application/json': {
              schema: manifest,
              examples: { csv: exampleManifest(home) },
            },
          },
        },
      },
      refusals: { invalid_request: unknownParameter, not_found: notReady, gone: expired },
    },
    {
      ...common,
      method: 'get',
      path: `${path}/{jobId}/download`,
      operationId: `downloadExport${suffix}`,
      summary: `The file of an export ${whose}`,
      description:
        'Leads to a signed address of the object store, which needs no headers and lasts for a ' +
        'while. With `Prefer: return=representation` it is told instead, for pages that cannot follow.',
      access: access(roles.exportsDownload),
      headers: { Prefer: preference },
      answers: {
        200: {
          description: 'Where the file is, where that was preferred.',
          headers: { 'Preference-Applied': 'return=representation.' },
          content: {
            'application/json': {
              schema: link,
              examples: {
                link: {
                  url: 'https://objects.example.com/analytics-exports/analytics/exports/export.csv',
                  filename: 'usage-daily_all_2026-11-16_2026-11-22_8f14e45f.csv',
                  urlExpiresAt: '2026-11-23T20:00:03.120Z',
                },
              },
            },
          },
        },
        302: {
          description: 'The file is there.',
          headers: { Location: 'The signed address.' },
        },
      },
      refusals: { invalid_request: unknownParameter, not_found: notReady, gone: expired },
    },
  ];
}

function jobContent(home: Home, isDone: boolean): Record<string, Content> {
  const example = exampleJob(home, isDone);
  return { 'application/json': { schema: exportJob, examples: { [example.status]: example } } };
}
