import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import { eventMaxKeys, usageEventSchema } from '../../shared/events/usage-event.ts';
import { eventsBodyMaxBytes } from '../../shared/http/body.ts';
import { attributesMax, cloudEventSchema } from '../../shared/http/cloud-event.ts';
import { count, fault, problem } from '../../shared/openapi/answer-parts.ts';
import { exampleIds } from '../../shared/openapi/examples.ts';
import type { Content, Operation } from '../../shared/openapi/operation.ts';
import { faultsToldMax } from '../../shared/platform/errors.ts';
import { eventsMax, usageEventType } from './app.ts';

const usageEvent = usageEventSchema.meta({
  id: 'UsageEvent',
  maxProperties: eventMaxKeys,
  description: `One inference, of at most ${eventMaxKeys} fields. Those not known are ignored and not stored.`,
});

const { specversion, id, source, subject, time, datacontenttype, data_base64 } =
  cloudEventSchema.shape;
const attributes = {
  specversion,
  id: id.describe('data.eventId'),
  source,
  type: z.literal(usageEventType),
  subject: subject.nullish().describe('data.orgId'),
  time: time.unwrap().meta({ format: 'date-time' }).nullish(),
  datacontenttype: datacontenttype
    .unwrap()
    .meta({ pattern: '^application/(json|[A-Za-z0-9.+-]+\\+json)\\s*(;|$)' })
    .nullish(),
};
/** An attribute that is null is one that is not there. Neither form takes the other's. */
const absent = z.null().optional();
const cloudEvent = z
  .union([
    z.object({ ...attributes, data: usageEvent, data_base64: absent }).meta({
      id: 'UsageCloudEventAsJson',
      description: 'With the event as it is.',
      maxProperties: attributesMax,
    }),
    z.object({ ...attributes, data: absent, data_base64: data_base64.unwrap() }).meta({
      id: 'UsageCloudEventAsBase64',
      description: 'With the event as base64 of JSON.',
      maxProperties: attributesMax,
    }),
  ])
  .meta({ id: 'UsageCloudEvent', description: 'A usage event as a CloudEvent 1.0.' });

const exampleEvent = {
  eventId: exampleIds.event,
  orgId: exampleIds.org,
  modelId: exampleIds.model,
  occurredAt: '2026-11-22T20:00:00Z',
  latencyMs: 840,
  status: 'success',
  inputTokens: 1200,
  outputTokens: 85,
  costEstimateCents: 0.4875,
};
const exampleCloudEvent = {
  specversion: '1.0',
  id: exampleIds.event,
  source: '/inference/eu-1',
  type: usageEventType,
  subject: exampleIds.org,
  data: exampleEvent,
};

const listOf = (schema: z.ZodType, id: string) =>
  z.array(schema).min(1).max(eventsMax).meta({ id, description: 'Each is judged by itself.' });

const body: Record<string, Content> = {
  'application/json': {
    schema: z.union([usageEvent, listOf(usageEvent, 'UsageEvents')]),
    examples: { one: exampleEvent, several: [exampleEvent] },
  },
  'application/cloudevents+json': {
    schema: cloudEvent,
    examples: { structured: exampleCloudEvent },
  },
  'application/cloudevents-batch+json': {
    schema: listOf(cloudEvent, 'UsageCloudEvents'),
    examples: { batch: [exampleCloudEvent] },
  },
};

const receipt = {
  accepted: count.describe('Events that are stored or on their way, duplicates included.'),
  rejected: count.describe('Events that are not: those rejected, and those in conflict.'),
  results: z
    .array(
      z
        .object({
          index: count.describe('Its place in the request.'),
          eventId: z.string().nullable().describe('As it was sent; null where none was.'),
          status: z
            .enum(['accepted', 'duplicate', 'conflict', 'rejected'])
            .describe(
              '`duplicate`: it was stored before, with the same content. `conflict`: another ' +
                'content of it is stored, or the same eventId of the last hour with another ' +
                'occurredAt; what is stored stays. Both are said only where events are stored as ' +
                'they are taken, without a stream; behind one they are `accepted`, duplicates are ' +
                'dropped, and conflicts go to the dead-letter queue.',
            ),
          errors: z
            .array(fault)
            .max(faultsToldMax + 1)
            .optional()
            .describe('Why it was rejected, or what is in conflict.'),
        })
        .meta({ id: 'EventResult' }),
    )
    .max(eventsMax),
};
const eventsAnswer = z.object(receipt).meta({ id: 'EventsAnswer' });
const eventsProblem = problem.extend(z.object(receipt).partial().shape).meta({
  id: 'EventsProblem',
  description: 'What became of each event is there where each could be looked at.',
});

const rejected = {
  accepted: 0,
  rejected: 1,
  results: [
    {
      index: 0,
      eventId: exampleIds.event,
      status: 'rejected',
      errors: [{ path: 'latencyMs', message: 'must not be negative' }],
    },
  ],
};
const conflict = {
  index: 2,
  eventId: exampleIds.event,
  status: 'conflict',
  errors: [{ path: 'costEstimateCents', message: 'differs from what is stored of this event' }],
};

const forms =
  `One event, a list of at most ${eventsMax}, or CloudEvents of the type \`${usageEventType}\`, ` +
  'structured, batched or binary: with `ce-` headers beside a body of `application/json`.';

export const eventsOperations: readonly Operation[] = [
  {
    method: 'post',
    path: '/events',
    operationId: 'sendEvents',
    tag: 'Events',
    summary: 'Send usage events',
    description:
      `${forms} Each is accepted or rejected by itself: one that is not valid, or of an org that ` +
      'is not among the actor’s, blocks no other. Where nothing is accepted the answer is 422, or ' +
      '403 where all of it is of other orgs. What is rejected is counted in ' +
      '`analytics_ingestion_events_total` and leaves a line in the log. Sending an event again ' +
      'changes nothing; a retry must repeat its eventId and occurredAt.',
    access: [roles.eventsWrite],
    body,
    bodyMaxBytes: eventsBodyMaxBytes,
    problem: eventsProblem,
    answers: {
      202: {
        description: 'What became of each event: at least one was accepted.',
        content: {
          'application/json': {
            schema: eventsAnswer,
            examples: {
              accepted: {
                accepted: 1,
                rejected: 0,
                results: [{ index: 0, eventId: exampleIds.event, status: 'accepted' }],
              },
              mixed: {
                accepted: 1,
                rejected: 2,
                results: [
                  ...rejected.results,
                  { index: 1, eventId: exampleIds.event, status: 'accepted' },
                  conflict,
                ],
              },
            },
          },
        },
      },
    },
    refusals: {
      invalid_request: {
        detail: 'the body must hold at least one event',
        errors: [{ path: '', message: 'must hold at least one event' }],
      },
      unprocessable: {
        detail: 'nothing was accepted: latencyMs must not be negative',
        errors: [{ path: 'latencyMs', message: 'must not be negative' }],
        ...rejected,
      },
    },
    usesStores: true,
  },
  {
    method: 'post',
    path: '/events/validate',
    operationId: 'validateEvents',
    tag: 'Events',
    summary: 'Try usage events without sending them',
    description: `${forms} Nothing is stored.`,
    access: 'any actor',
    body,
    bodyMaxBytes: eventsBodyMaxBytes,
    problem: eventsProblem,
    answers: { 204: { description: 'All of them are valid.' } },
    refusals: {
      invalid_request: {
        detail: '1 problem found',
        errors: [{ path: '[0].latencyMs', message: 'must not be negative' }],
      },
    },
    usesStores: false,
  },
];
