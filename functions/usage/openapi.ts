import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import { windowParameters } from '../../shared/http/window-request.ts';
import {
  freshness,
  instant,
  nextCursor,
  seriesGroup,
  usageSums,
  usageTotals,
  uuid,
  windowHead,
} from '../../shared/openapi/answer-parts.ts';
import {
  exampleFreshness,
  exampleIds,
  exampleSums,
  exampleWeek,
} from '../../shared/openapi/examples.ts';
import type { Operation } from '../../shared/openapi/operation.ts';
import { orgsParameters } from './app.ts';

export const usageAnswer = windowHead
  .extend({
    series: z
      .array(seriesGroup.extend(usageSums.shape).meta({ id: 'UsagePoint' }))
      .describe('Ascending and sparse: a bucket without events is absent.'),
    totals: usageTotals,
    freshness,
  })
  .meta({ id: 'UsageAnswer' });

export const modelsAnswer = z
  .object({
    orgId: uuid,
    orgName: z.string().nullable().describe('Null where the catalog does not know it.'),
    models: z.array(
      z
        .object({
          modelId: uuid,
          name: z.string().nullable().describe('Null where the catalog does not know it.'),
          firstEventAt: instant,
          lastEventAt: instant,
        })
        .meta({ id: 'SeenModel' }),
    ),
  })
  .meta({ id: 'ModelsAnswer' });

export const orgsAnswer = z
  .object({
    items: z.array(
      z
        .object({
          orgId: uuid,
          name: z.string().nullable().describe('Null where the catalog does not know it.'),
          ...usageSums.shape,
        })
        .meta({ id: 'OrgUsage' }),
    ),
    nextCursor,
  })
  .meta({ id: 'OrgsAnswer' });

export const usageOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/orgs/{orgId}/usage',
    operationId: 'getUsage',
    tag: 'Usage',
    summary: 'Usage and spend of an org',
    description:
      'A series by hour, day or month and its totals, exact for any window and in any time zone. ' +
      'More than 10,000 points, or hours of a zone with a fractional offset over more than 7 ' +
      'days, are refused with a word on how to narrow the window.',
    access: [roles.usageRead],
    query: windowParameters.shape,
    example: exampleWeek,
    answers: {
      200: {
        description: 'The series, its totals, and how complete they are.',
        content: {
          'application/json': {
            schema: usageAnswer,
            examples: {
              byModel: {
                orgId: exampleIds.org,
                granularity: 'day',
                timezone: 'UTC',
                ...exampleWeek,
                series: [
                  {
                    bucketStart: exampleWeek.start,
                    modelId: exampleIds.model,
                    invocations: 681,
                    errors: 20,
                    inputTokens: 743684,
                    outputTokens: 217431,
                    costEstimateCents: 257.5613,
                  },
                ],
                totals: exampleSums,
                freshness: exampleFreshness,
              },
            },
          },
        },
      },
    },
    refusals: {
      invalid_request: {
        detail: 'modelid is not a parameter here; end must be after start',
        errors: [
          { path: 'modelid', message: 'is not a parameter here' },
          { path: 'end', message: 'must be after start' },
        ],
      },
    },
    usesStores: true,
  },
  {
    method: 'get',
    path: '/orgs/{orgId}/models',
    operationId: 'listModels',
    tag: 'Usage',
    summary: 'Models that an org has used',
    description: 'Every model that was ever seen, with its first and its last event.',
    access: [roles.usageRead, roles.reliabilityRead],
    answers: {
      200: {
        description: 'The models, by name, those without one last.',
        content: {
          'application/json': {
            schema: modelsAnswer,
            examples: {
              one: {
                orgId: exampleIds.org,
                orgName: 'Acme',
                models: [
                  {
                    modelId: exampleIds.model,
                    name: 'chat-large',
                    firstEventAt: '2026-11-16T00:04:12.031Z',
                    lastEventAt: exampleFreshness.lastEventAt,
                  },
                ],
              },
            },
          },
        },
      },
    },
    refusals: {
      invalid_request: {
        detail: 'orgId must be a uuid',
        errors: [{ path: 'orgId', message: 'must be a uuid' }],
      },
    },
    usesStores: true,
  },
  {
    method: 'get',
    path: '/orgs',
    operationId: 'listOrgs',
    tag: 'Usage',
    summary: 'All orgs by cost',
    description: 'Every org that is known by name or by an event, with its totals, dearest first.',
    access: [roles.admin],
    query: orgsParameters.shape,
    example: exampleWeek,
    answers: {
      200: {
        description: 'A page of orgs.',
        content: {
          'application/json': {
            schema: orgsAnswer,
            examples: {
              lastPage: {
                items: [{ orgId: exampleIds.org, name: 'Acme', ...exampleSums }],
                nextCursor: null,
              },
            },
          },
        },
      },
    },
    refusals: {
      invalid_request: {
        detail: 'start is required; limit must be at most 500',
        errors: [
          { path: 'start', message: 'is required' },
          { path: 'limit', message: 'must be at most 500' },
        ],
      },
    },
    usesStores: true,
  },
];
