import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import { usageEventSchema } from '../../shared/events/usage-event.ts';
import { cloudEventSchema } from '../../shared/http/cloud-event.ts';
import { count, fault } from '../../shared/openapi/answer-parts.ts';
import { exampleIds } from '../../shared/openapi/examples.ts';
import type { Content, Operation } from '../../shared/openapi/operation.ts';
import { eventsMax, usageEventType } from './app.ts';

const usageEvent = usageEventSchema.meta({
  id: 'UsageEvent',
  description: 'One inference. Fields that are not known are ignored and not stored.',
});

const { specversion, id, source, subject, time, datacontenttype, data_base64 } =
  cloudEventSchema.shape;
const cloudEvent = z
  .object({
    specversion,
    id: id.describe('data.eventId'),
    source,
    type: z.literal(usageEventType),
    subject: subject.describe('data.orgId'),
    time: time.meta({ format: 'date-time' }),
    datacontenttype,
    data: usageEvent.optional(),
    data_base64: data_base64.describe('In place of data.'),
  })
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

const listOf = (schema: z.ZodType) => z.array(schema).min(1).max(eventsMax);

const body: Record<string, Content> = {
  'application/json': {
    schema: z.union([usageEvent, listOf(usageEvent)]),
    examples: { one: exampleEvent, several: [exampleEvent] },
  },
  'application/cloudevents+json': {
    schema: cloudEvent,
    examples: { structured: exampleCloudEvent },
  },
  'application/cloudevents-batch+json': {
    schema: listOf(cloudEvent),
    examples: { batch: [exampleCloudEvent] },
  },
};

const eventsAnswer = z
  .object({
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
              .optional()
              .describe('Why it was rejected, or what is in conflict.'),
          })
          .meta({ id: 'EventResult' }),
      )
      .max(eventsMax),
  })
  .meta({ id: 'EventsAnswer' });

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
      'is not among the actor’s, blocks no other. Sending an event again changes nothing; a retry ' +
      'must repeat its eventId and occurredAt.',
    access: [roles.eventsWrite],
    body,
    answers: {
      202: {
        description: 'What became of each event.',
        content: {
          'application/json': {
            schema: eventsAnswer,
            examples: {
              accepted: {
                accepted: 1,
                rejected: 0,
                results: [{ index: 0, eventId: exampleIds.event, status: 'accepted' }],
              },
              conflict: {
                accepted: 0,
                rejected: 1,
                results: [
                  {
                    index: 0,
                    eventId: exampleIds.event,
                    status: 'conflict',
                    errors: [
                      {
                        path: 'costEstimateCents',
                        message: 'differs from what is stored of this event',
                      },
                    ],
                  },
                ],
              },
              rejected: {
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
