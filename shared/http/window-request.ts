import type { Context } from 'hono';
import * as z from 'zod';
import type { Settings } from '../platform/env.ts';
import { type Fault, faultsOf, faultsText, ServiceError } from '../platform/errors.ts';
import { parseInstant } from '../queries/instant.ts';
import {
  dayMs,
  isTimeZone,
  planWindow,
  type Range,
  type WindowPlan,
  windowMaxDays,
} from '../queries/time-window.ts';
import { groupings } from '../queries/usage-query.ts';
import type { UsageFilter } from '../queries/window-sql.ts';
import type { AppEnv } from './context.ts';

// Not by the flag for any case, which a JSON schema's pattern has no room for.
const uuidForm = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;

export const uuidParameter = z
  .string()
  .regex(uuidForm, 'must be a uuid')
  .transform((text) => text.toLowerCase())
  .meta({ format: 'uuid' });

export const instantParameter = z
  .string('is required')
  .transform((text, context) => {
    const ms = parseInstant(text);
    if (ms !== undefined) return ms;
    const hint = text.includes(' ') ? ' (a + in a URL is written %2B)' : '';
    context.addIssue({
      code: 'custom',
      message: `must be an RFC 3339 date-time with a zone, such as 2026-01-31T00:00:00Z${hint}`,
    });
    return z.NEVER;
  })
  .meta({ format: 'date-time' });

const granularityNames = {
  hour: 'hour',
  hourly: 'hour',
  day: 'day',
  daily: 'day',
  month: 'month',
  monthly: 'month',
} as const;

export const rangeParameters = z.strictObject({
  start: instantParameter.describe(
    'Where the window begins, with a zone. Not before what retention has left.',
  ),
  end: instantParameter.describe(
    `Where it ends, itself no longer inside; at most ${windowMaxDays} days after start.`,
  ),
});

/** `names` are those to be told of, where another was given. */
export function granularityParameter(names: string) {
  return z
    .enum(Object.keys(granularityNames) as [keyof typeof granularityNames], {
      error: `must be ${names}`,
    })
    .default('day')
    .transform((name) => granularityNames[name])
    .describe('How long a bucket is. `hour` and `hourly` mean the same, as do the others.');
}

export const timezoneParameter = z
  .string()
  .refine(isTimeZone, 'must be an IANA time zone such as Europe/Berlin')
  .default('UTC')
  .describe(
    'IANA time zone. Buckets are its days and months, right across daylight-saving changes.',
  );

export const windowParameters = rangeParameters.extend({
  granularity: granularityParameter('hour, day or month'),
  timezone: timezoneParameter,
  modelId: z
    .array(uuidParameter)
    .max(100, 'can be given at most 100 times')
    .default([])
    .describe('Only these models; may be repeated.'),
  clientId: z
    .array(
      z
        .string()
        .max(128, 'must have at most 128 characters')
        // PostgreSQL's text cannot hold it.
        .refine((text) => !text.includes('\u0000'), 'must not contain NUL'),
    )
    .max(100, 'can be given at most 100 times')
    .default([])
    .describe('Only these clients; may be repeated. Empty stands for events without a client.'),
  groupBy: z
    .enum(groupings, { error: `must be one of ${groupings.join(', ')}` })
    .default('model')
    .describe('What points of the series are kept apart by, beside the bucket.'),
});

/** What pages of a listing are asked for by. */
export const pageParameters = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(1, 'must be at least 1').max(500, 'must be at most 500'))
    // Text in a URL, a number to its reader.
    .meta({ type: 'integer', pattern: undefined, minimum: 1, maximum: 500 })
    .default(50)
    .describe('How many to list at most; 50 where it is left out.'),
  cursor: z
    .string()
    .min(1, 'must not be empty')
    .optional()
    .describe('Where to go on: the `nextCursor` of the answer before. Its text means nothing.'),
});

/** Where the next page begins, as opaque text. */
export function encodeCursor(place: readonly string[]): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** @throws ServiceError `invalid_request` when the text was not made by `encodeCursor`. */
export function decodeCursor<Schema extends z.ZodType>(
  text: string,
  form: Schema,
): z.output<Schema> {
  try {
    return form.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')));
  } catch {
    throw invalid([{ path: 'cursor', message: 'must be the nextCursor of an earlier answer' }]);
  }
}

/** Parameters that may be given more than once. */
const repeatable = new Set(['modelId', 'clientId']);

/** Query parameters as they were sent. */
type GivenParameters = Readonly<Record<string, string | string[]>>;

/**
 * A request's query parameters by a schema that names every one: an unknown or doubled parameter
 * is a fault too, since a misspelt filter would answer with wrong numbers.
 *
 * @param jointFaults rules over several parameters, asked when others already have faults; when
 * all parse, such rules are the caller's to check
 * @throws ServiceError `invalid_request` with every fault.
 */
export function parseQuery<Schema extends z.ZodType>(
  context: Context<AppEnv>,
  schema: Schema,
  jointFaults: (given: GivenParameters) => Fault[] = () => [],
): z.output<Schema> {
  const faults: Fault[] = [];
  // Not by Hono's own, in which a name that every object has, such as constructor, is lost.
  const { searchParams } = new URL(context.req.url);
  const valuesOf = new Map<string, string[]>();
  for (const [name, value] of searchParams) {
    const values = valuesOf.get(name);
    if (values === undefined) valuesOf.set(name, [value]);
    else values.push(value);
  }
  const named = [...valuesOf].map(([name, values]): [string, string | string[]] => {
    if (repeatable.has(name)) return [name, values];
    if (values.length > 1) faults.push({ path: name, message: 'can be given only once' });
    return [name, values[0] ?? ''];
  });
  const given: GivenParameters = Object.fromEntries(named);
  const parsed = schema.safeParse(given);
  if (parsed.success && faults.length === 0) return parsed.data;
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      if (issue.code === 'unrecognized_keys') {
        faults.push(...issue.keys.map((path) => ({ path, message: 'is not a parameter here' })));
      }
    }
    faults.push(...faultsOf(parsed.error).filter(({ path }) => path !== ''));
  }
  faults.push(...jointFaults(given));
  throw invalid(faults);
}

/** A request refused for these faults, the first of them named in its detail. */
export function invalid(faults: readonly Fault[]): ServiceError {
  return new ServiceError('invalid_request', faultsText(faults), faults);
}

export type RetentionSettings = Pick<Settings, 'RAW_RETENTION_DAYS' | 'ROLLUP_RETENTION_DAYS'>;

/** @throws ServiceError `invalid_request` for a window that is empty, too long or too old. */
export function checkRange(range: Range, settings: RetentionSettings, nowMs = Date.now()): void {
  const faults = rangeFaults(range, settings, nowMs);
  if (faults.length > 0) throw invalid(faults);
}

/** What is wrong with the window of a request whose other parameters are wrong: for `parseQuery`. */
export function givenRangeFaults(settings: RetentionSettings) {
  return function givenRangeFaults({ start, end }: GivenParameters): Fault[] {
    const [startMs, endMs] = [start, end].map((text) =>
      typeof text === 'string' ? parseInstant(text) : undefined,
    );
    return startMs === undefined || endMs === undefined
      ? []
      : rangeFaults({ startMs, endMs }, settings, Date.now());
  };
}

/** A day before the year 10000 in any zone, which RFC 3339 cannot write. */
const latestMs = Date.UTC(9999, 11, 31);

/** What is wrong with a window, by `start` and `end`. */
export function rangeFaults(
  { startMs, endMs }: Range,
  { ROLLUP_RETENTION_DAYS: retentionDays }: RetentionSettings,
  nowMs: number,
): Fault[] {
  const faults: Fault[] = [];
  if (startMs >= endMs) faults.push({ path: 'end', message: 'must be after start' });
  if (endMs - startMs > windowMaxDays * dayMs) {
    faults.push({ path: 'end', message: `must be at most ${windowMaxDays} days after start` });
  }
  if (endMs > latestMs) {
    faults.push({ path: 'end', message: `must not be after ${time(latestMs)}` });
  }
  const oldestMs = oldestDay(nowMs, retentionDays);
  if (startMs < oldestMs) {
    faults.push({ path: 'start', message: `must not be before ${time(oldestMs)} (retention)` });
  }
  return faults;
}

/** Retention removes whole UTC days. */
function oldestDay(nowMs: number, retentionDays: number): number {
  return Math.floor(nowMs / dayMs - retentionDays) * dayMs;
}

function time(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

/** @throws ServiceError `invalid_request` when single events are needed that may be gone. */
export function checkRawRetention(plan: WindowPlan, settings: RetentionSettings): void {
  const faults = rawRetentionFaults(plan.raw, settings);
  if (faults.length > 0) throw invalid(faults);
}

/** What is wrong with stretches of a window that only single events can answer. */
export function rawRetentionFaults(raw: readonly Range[], settings: RetentionSettings): Fault[] {
  const oldestRawMs = oldestDay(Date.now(), settings.RAW_RETENTION_DAYS);
  if (raw.every((range) => range.startMs >= oldestRawMs)) return [];
  const message =
    `before ${time(oldestRawMs)} single events are no longer kept: ` +
    'start and end on whole UTC hours, in a zone whose days do';
  return [{ path: 'start', message }];
}

export interface WindowRequest {
  plan: WindowPlan;
  filter: UsageFilter;
  groupBy: (typeof groupings)[number];
}

/** The parameters of `/usage` and `/reliability`, parsed by `windowParameters`. */
export function windowRequest(
  orgId: string,
  parameters: z.output<typeof windowParameters>,
  settings: RetentionSettings,
): WindowRequest {
  const { start: startMs, end: endMs, granularity, timezone: timeZone, groupBy } = parameters;
  checkRange({ startMs, endMs }, settings);
  const plan = planWindow({ startMs, endMs, granularity, timeZone });
  checkRawRetention(plan, settings);
  return {
    plan,
    filter: { orgId, modelIds: parameters.modelId, clientIds: parameters.clientId },
    groupBy,
  };
}

/**
 * The org in the path, lower case. Call `authorize` with it before anything else is looked at.
 */
export function orgOf(context: Context<AppEnv>): string {
  return (context.req.param('orgId') ?? '').toLowerCase();
}

/** @throws ServiceError `invalid_request` unless the org id in the path is a uuid. */
export function requireOrgId(orgId: string): void {
  if (!uuidForm.test(orgId)) throw invalid([{ path: 'orgId', message: 'must be a uuid' }]);
}
