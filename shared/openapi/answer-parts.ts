import * as z from 'zod';
import { faultsToldMax } from '../platform/errors.ts';

/** What answers have in common. They say what is sent, and parse nothing. */

export const uuid = z.string().meta({ format: 'uuid' });

export const instant = z.string().meta({ format: 'date-time' });

/** Not z.int(), which would say that sums end at 2^53. */
export const count = z.number().min(0).meta({ type: 'integer' });

const cost = z
  .number()
  .min(0)
  .describe('Cents, with at most 4 decimals, digit for digit as they were summed.');

export const usageSums = z.object({
  invocations: count,
  errors: count.describe('Of status error, timeout or throttled.'),
  inputTokens: count,
  outputTokens: count,
  costEstimateCents: cost,
});

export const usageTotals = usageSums.meta({ id: 'UsageTotals' });

/** What a point of a series is about. */
export const seriesGroup = z.object({
  bucketStart: instant.describe("In the request's time zone."),
  modelId: uuid.optional().describe('Where the series is by model.'),
  clientId: z
    .string()
    .nullable()
    .optional()
    .describe('Where the series is by client; null for events without one.'),
});

/** What an answer about a window repeats of the request. */
export const windowHead = z.object({
  orgId: uuid,
  granularity: z.enum(['hour', 'day', 'month']),
  timezone: z.string(),
  start: instant,
  end: instant,
});

const freshnessFields = {
  status: z
    .enum(['fresh', 'stale', 'delayed', 'empty'])
    .describe(
      '`fresh` below 300 s of lag, `stale` below 600, `delayed` beyond, `empty` where nothing has ' +
        'ever arrived.',
    ),
  lagSeconds: count.nullable().describe('Between now and completeThrough.'),
  lastEventAt: instant.nullable(),
  lastRollupAt: instant.nullable(),
  completeThrough: instant
    .nullable()
    .describe('Everything that was received until then has been stored.'),
};

export const freshness = z.object(freshnessFields).meta({ id: 'Freshness' });
export const modelFreshness = z
  .object({ modelId: uuid, ...freshnessFields })
  .meta({ id: 'ModelFreshness' });

export const nextCursor = z
  .string()
  .nullable()
  .describe('Ask with it for the next page; null on the last.');

export const fault = z
  .object({
    path: z.string().describe('Where: a parameter, or a path into the body; empty for all of it.'),
    message: z.string().describe('What is wrong, and what would be right.'),
  })
  .meta({ id: 'Fault' });

/** RFC 9457. */
export const problem = z
  .object({
    type: z.string().meta({ format: 'uri' }).describe('Names the kind of problem.'),
    title: z.string(),
    status: z.int().min(400).max(599),
    detail: z.string().describe('What is wrong with this request, and the way out.'),
    instance: z.string().describe('The path that was asked for.'),
    errors: z
      .array(fault)
      .max(faultsToldMax + 1)
      .optional()
      .describe(
        `What is wrong with the request, where it is not valid: at most ${faultsToldMax}, and how many more.`,
      ),
  })
  .meta({ id: 'Problem' });
