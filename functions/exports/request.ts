import type { Context } from 'hono';
import * as z from 'zod';
import { type ExportRequest, exportFormats } from '../../shared/exports/job.ts';
import { hasMoreKeys } from '../../shared/fields.ts';
import { smallBodyMaxBytes } from '../../shared/http/body.ts';
import { mediaType, readJson } from '../../shared/http/cloud-event.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import {
  granularityParameter,
  instantParameter,
  invalid,
  rangeFaults,
  rawRetentionFaults,
  timezoneParameter,
  uuidParameter,
} from '../../shared/http/window-request.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { type Fault, faultsOf, ServiceError } from '../../shared/platform/errors.ts';
import { planWindow } from '../../shared/queries/time-window.ts';

const modelsMax = 100;
/** Far more than there are: each that is not known is named. */
const bodyMaxKeys = 64;

export const exportBody = z.strictObject({
  timeRange: z
    .strictObject({ start: instantParameter, end: instantParameter })
    .describe('Half-open, at most 400 days.'),
  granularity: granularityParameter('hourly, daily or monthly'),
  timezone: timezoneParameter,
  models: z
    .array(uuidParameter)
    .min(1, 'must name at least one model; leave it out for all')
    .max(modelsMax, `must name at most ${modelsMax} models`)
    .transform((models) => [...new Set(models)].sort())
    .optional()
    .describe('Only these models; all when left out.'),
  format: z
    .enum(exportFormats, { error: `must be one of ${exportFormats.join(', ')}` })
    .default('csv')
    .describe(
      '`csv` has a row for each bucket, model and client, `focus` is the FinOps cost format, ' +
        '`events` the raw rows.',
    ),
  delivery: z
    .strictObject({
      type: z.literal('s3', 'must be s3'),
      bucket: z.string().optional().describe('The configured one.'),
    })
    .optional(),
});

/**
 * The export that a request's JSON body asks for.
 *
 * @throws ServiceError `unsupported_media_type`; `invalid_request` with every fault.
 */
export async function readExportRequest(
  context: Context<AppEnv>,
  orgId: string | null,
  settings: Settings,
): Promise<ExportRequest> {
  const type = mediaType(context);
  if (type !== 'application/json') {
    const given = type === '' ? 'is missing' : `is ${type}`;
    const detail = `the content type ${given}: send application/json`;
    throw new ServiceError('unsupported_media_type', detail);
  }
  const given = await readJson(context, smallBodyMaxBytes);
  if (hasMoreKeys(given, bodyMaxKeys)) {
    throw invalid([{ path: '', message: `must have at most ${bodyMaxKeys} fields` }]);
  }
  const parsed = exportBody.safeParse(given);
  const faults = [
    ...(parsed.success ? [] : bodyFaults(parsed.error)),
    ...windowFaults(given, settings),
    ...bucketFaults(given, settings),
  ];
  if (!parsed.success || faults.length > 0) throw invalid(faults);
  const { timeRange, granularity, timezone, models, format } = parsed.data;
  const range = { startMs: timeRange.start, endMs: timeRange.end };
  return { orgId, format, granularity, timezone, models: models ?? null, range };
}

/** What is wrong with a window that can be read, whatever may be wrong elsewhere. */
function windowFaults(given: unknown, settings: Settings): Fault[] {
  const { data } = z.object({ timeRange: exportBody.shape.timeRange }).safeParse(given);
  if (data === undefined) return [];
  const range = { startMs: data.timeRange.start, endMs: data.timeRange.end };
  const { format, granularity, timezone: timeZone } = windowForm.parse(given);
  // Raw events and their cost split are in no rollup.
  const retentionDays =
    format === 'csv' ? settings.ROLLUP_RETENTION_DAYS : settings.RAW_RETENTION_DAYS;
  const retention = { ...settings, ROLLUP_RETENTION_DAYS: retentionDays };
  const faults = rangeFaults(range, retention, Date.now());
  if (faults.length === 0) {
    const plan = planWindow({ ...range, granularity, timeZone }, { anyHours: true });
    faults.push(...rawRetentionFaults(plan.raw, settings));
  }
  return faults.map(({ path, message }) => ({ path: `timeRange.${path}`, message }));
}

/** Where one of these is wrong, the window is judged by the default. */
const windowForm = z.object({
  format: exportBody.shape.format.catch('csv'),
  granularity: exportBody.shape.granularity.catch('day'),
  timezone: exportBody.shape.timezone.catch('UTC'),
});

function bucketFaults(given: unknown, { S3_BUCKET }: Settings): Fault[] {
  const { data } = z.object({ delivery: z.object({ bucket: z.string() }) }).safeParse(given);
  if (data === undefined || data.delivery.bucket === S3_BUCKET) return [];
  const message = `must be ${S3_BUCKET}, the only bucket that is configured`;
  return [{ path: 'delivery.bucket', message }];
}

/** Unknown fields are named one by one: a misspelt filter would export the wrong rows. */
function bodyFaults(error: z.ZodError): Fault[] {
  const unknown = error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({
          path: [...issue.path, key].join('.'),
          message: 'is not a field of an export request',
        }))
      : [],
  );
  const known = new z.ZodError(error.issues.filter(({ code }) => code !== 'unrecognized_keys'));
  return [...faultsOf(known), ...unknown];
}

/** What an Idempotency-Key looks like. */
export const keyForm = /^[\x21-\x7E]{1,255}$/;

/** @throws ServiceError `invalid_request` for an Idempotency-Key that is none. */
export function readIdempotencyKey(context: Context<AppEnv>): string | null {
  const key = context.req.header('Idempotency-Key');
  if (key === undefined) return null;
  if (keyForm.test(key)) return key;
  const message = 'must be 1 to 255 printable ASCII characters without spaces';
  throw invalid([{ path: 'Idempotency-Key', message }]);
}
