import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import {
  count,
  freshness,
  instant,
  modelFreshness,
  uuid,
} from '../../shared/openapi/answer-parts.ts';
import { exampleFreshness, exampleIds } from '../../shared/openapi/examples.ts';
import type { Content, Operation } from '../../shared/openapi/operation.ts';
import { freshnessParameters } from './app.ts';
import type { ComponentName } from './readiness.ts';

export const freshnessAnswer = z
  .object({
    orgId: uuid,
    status: freshness.shape.status,
    lagSeconds: count.nullable(),
    completeThrough: instant.nullable(),
    entries: z.array(modelFreshness),
  })
  .meta({ id: 'FreshnessAnswer' });

const state = z.enum(['healthy', 'unhealthy', 'not_configured']);

const readyAnswer = z
  .object({
    status: z.enum(['ready', 'degraded']),
    components: z.object({
      database: state,
      stream: state,
      cache: state,
      objectStore: state,
    } satisfies Record<ComponentName, z.ZodType>),
    timestamp: instant,
  })
  .meta({ id: 'ReadinessAnswer' });

function ready(database: 'healthy' | 'unhealthy'): Record<string, Content> {
  const example = {
    status: database === 'healthy' ? 'ready' : 'degraded',
    components: { database, stream: 'healthy', cache: 'not_configured', objectStore: 'healthy' },
    timestamp: '2026-11-22T20:01:01.260Z',
  };
  return { 'application/json': { schema: readyAnswer, examples: { [example.status]: example } } };
}

const { lastEventAt, lastRollupAt, ...exampleOverall } = exampleFreshness;

export const statusOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/orgs/{orgId}/freshness',
    operationId: 'getFreshness',
    tag: 'Freshness',
    summary: 'How complete the numbers of an org are',
    description:
      'Over all and for each model. An org that sends nothing is not stale: the lag grows where ' +
      'the service falls behind. May be as old as the cache allows, a minute by default.',
    access: [roles.usageRead, roles.reliabilityRead],
    query: freshnessParameters.shape,
    answers: {
      200: {
        description: 'Freshness over all models, and of each.',
        content: {
          'application/json': {
            schema: freshnessAnswer,
            examples: {
              fresh: {
                orgId: exampleIds.org,
                ...exampleOverall,
                entries: [
                  { modelId: exampleIds.model, ...exampleOverall, lastEventAt, lastRollupAt },
                ],
              },
              empty: {
                orgId: exampleIds.org,
                status: 'empty',
                lagSeconds: null,
                completeThrough: null,
                entries: [],
              },
            },
          },
        },
      },
    },
    refusals: {
      invalid_request: {
        detail: 'modelId can be given only once',
        errors: [{ path: 'modelId', message: 'can be given only once' }],
      },
    },
    usesStores: true,
  },
  {
    method: 'get',
    path: '/status/healthz',
    operationId: 'getHealth',
    tag: 'Status',
    summary: 'Whether the service runs',
    description: 'Looks at nothing but itself.',
    access: 'everybody',
    answers: {
      200: {
        description: 'It runs.',
        content: {
          'text/plain': { schema: z.literal('OK'), examples: { running: 'OK' } },
        },
      },
    },
    refusals: {},
    usesStores: false,
  },
  {
    method: 'get',
    path: '/status/readyz',
    operationId: 'getReadiness',
    tag: 'Status',
    summary: 'Whether the service and its stores are well',
    description: 'Looks at each store. `degraded` still serves as long as the database is healthy.',
    access: 'everybody',
    answers: {
      200: { description: 'The database is there.', content: ready('healthy') },
      503: { description: 'The database is away.', content: ready('unhealthy') },
    },
    refusals: {},
    usesStores: false,
  },
];
