import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import {
  count,
  freshness,
  seriesGroup,
  uuid,
  windowHead,
} from '../../shared/openapi/answer-parts.ts';
import { exampleFreshness, exampleIds, exampleWeek } from '../../shared/openapi/examples.ts';
import type { Operation } from '../../shared/openapi/operation.ts';
import { reliabilityParameters } from './app.ts';

const percentile = z
  .number()
  .min(0)
  .nullable()
  .describe(
    'Milliseconds, within 2%: whole where that is, else with one decimal; null without events.',
  );

const reliabilitySums = z.object({
  invocations: count,
  errorRate: z.number().min(0).max(1).describe('Of error, timeout and throttled.'),
  statusCounts: z
    .object({ success: count, error: count, timeout: count, throttled: count })
    .meta({ id: 'StatusCounts' }),
  latencyMs: z
    .object({ p50: percentile, p95: percentile, p99: percentile })
    .meta({ id: 'LatencyPercentiles' }),
});

export const reliabilityAnswer = windowHead
  .extend({
    percentile: z.enum(['p50', 'p95', 'p99']),
    series: z
      .array(seriesGroup.extend(reliabilitySums.shape).meta({ id: 'ReliabilityPoint' }))
      .describe('Ascending and sparse: a bucket without events is absent.'),
    totals: reliabilitySums.meta({ id: 'ReliabilityTotals' }),
    topErrors: z
      .array(
        z
          .object({
            errorCode: z.string().nullable().describe('Null where the event gave none.'),
            modelId: uuid,
            clientId: z.string().nullable(),
            count,
          })
          .meta({ id: 'TopError' }),
      )
      .max(10)
      .describe('The most frequent ones, whatever the series is by.'),
    freshness,
  })
  .meta({ id: 'ReliabilityAnswer' });

const exampleTotals = {
  invocations: 4607,
  errorRate: 0.038203,
  statusCounts: { success: 4431, error: 112, timeout: 37, throttled: 27 },
  latencyMs: { p50: 2298, p95: 11847, p99: 18394 },
};

export const reliabilityOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/orgs/{orgId}/reliability',
    operationId: 'getReliability',
    tag: 'Reliability',
    summary: 'Errors and latency of an org',
    description:
      'Error rates, status counts and latency percentiles as a series and over the whole window, ' +
      'and the most frequent errors. Windows are limited as for usage.',
    access: [roles.reliabilityRead],
    query: reliabilityParameters.shape,
    example: exampleWeek,
    answers: {
      200: {
        description: 'The series, its totals, top errors, and how complete they are.',
        content: {
          'application/json': {
            schema: reliabilityAnswer,
            examples: {
              wholeMonth: {
                orgId: exampleIds.org,
                granularity: 'month',
                timezone: 'UTC',
                ...exampleWeek,
                percentile: 'p95',
                series: [{ bucketStart: '2026-11-01T00:00:00Z', ...exampleTotals }],
                totals: exampleTotals,
                topErrors: [
                  {
                    errorCode: 'overloaded',
                    modelId: exampleIds.model,
                    clientId: null,
                    count: 13,
                  },
                ],
                freshness: exampleFreshness,
              },
            },
          },
        },
      },
    },
    refusals: {
      invalid_request: {
        detail: 'percentile must be p50, p95 or p99',
        errors: [{ path: 'percentile', message: 'must be p50, p95 or p99' }],
      },
    },
    usesStores: true,
  },
];
