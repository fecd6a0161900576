import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import type { EventSink } from '../../shared/events/event-sink.ts';
import {
  type Decoded,
  decodeEvent,
  type EventRules,
  type UsageEvent,
} from '../../shared/events/usage-event.ts';
import type { Access } from '../../shared/http/actor.ts';
import {
  type CloudEventResult,
  cloudEventMode,
  mediaType,
  readCloudEvents,
  readJson,
} from '../../shared/http/cloud-event.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { json } from '../../shared/http/json.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { type Fault, ServiceError } from '../../shared/platform/errors.ts';
import type { TraceHeaders } from '../../shared/platform/telemetry/tracing.ts';
import { type EventResult, withOutcomes } from './outcomes.ts';

export interface EventsDeps {
  sink: EventSink;
  access: Access;
  settings: Settings;
}

export const usageEventType = 'ai.usage.recorded.v1';
export const eventsMax = 1_000;

/** Takes usage events over HTTP: plain JSON or CloudEvents, one or many. */
export function eventsApp({ sink, access, settings }: EventsDeps): Hono<AppEnv> {
  const app = new Hono<AppEnv>().basePath('/analytics/v1/events');
  const rules = (): EventRules => ({
    nowMs: Date.now(),
    rawRetentionDays: settings.RAW_RETENTION_DAYS,
  });

  app.post('/', async (context) => {
    const anyOf = [roles.eventsWrite];
    const actor = access.authorize(context, { action: 'events:write', anyOf, orgId: null });
    const isEverywhere = actor.roles.includes(roles.admin);
    const { candidates } = await readCandidates(context, rules());
    const accepted: UsageEvent[] = [];
    const origins = new Map<UsageEvent, TraceHeaders>();
    const results: EventResult[] = [];
    for (const [index, { eventId, decoded, trace }] of candidates.entries()) {
      if ('faults' in decoded) {
        results.push({ index, eventId, status: 'rejected', errors: decoded.faults });
      } else if (!isEverywhere && !actor.orgs.includes(decoded.event.orgId)) {
        const message = `forbidden: ${decoded.event.orgId} is not among the actor's orgs`;
        results.push({ index, eventId, status: 'rejected', errors: [{ path: 'orgId', message }] });
      } else {
        accepted.push(decoded.event);
        if (trace !== undefined) origins.set(decoded.event, trace);
        results.push({ index, eventId, status: 'accepted' });
      }
    }
    const rejected = results.length - accepted.length;
    const receipt = { accepted: accepted.length, rejected, results };
    return json(context, withOutcomes(receipt, await sink.accept(accepted, origins)), 202);
  });

  app.post('/validate', async (context) => {
    access.authorize(context, { action: 'events:validate', anyOf: [], orgId: null });
    const { candidates, isList } = await readCandidates(context, rules());
    const faults = candidates.flatMap(({ decoded }, index) =>
      'faults' in decoded
        ? decoded.faults.map(({ path, message }) => ({
            path: isList ? [`[${index}]`, path].filter(Boolean).join('.') : path,
            message,
          }))
        : [],
    );
    if (faults.length === 0) return context.body(null, 204);
    const detail = `${faults.length} problem${faults.length === 1 ? '' : 's'} found`;
    throw new ServiceError('invalid_request', detail, faults);
  });

  return app;
}

interface Candidate {
  eventId: string | null;
  decoded: Decoded;
  /** Where a CloudEvent was made. */
  trace?: TraceHeaders | undefined;
}

/** Everything in the request that wants to be an event. */
async function readCandidates(
  context: Context<AppEnv>,
  rules: EventRules,
): Promise<{ candidates: Candidate[]; isList: boolean }> {
  const mode = cloudEventMode(context);
  if (mode !== null) {
    const results = await readCloudEvents(context, mode);
    const candidates = bounded(results).map((result) => fromCloudEvent(result, rules));
    return { candidates, isList: mode === 'batch' };
  }
  const type = mediaType(context);
  if (type !== 'application/json') {
    const detail =
      `the content type ${type === '' ? 'is missing' : `${type} is not known here`}: use ` +
      'application/json, application/cloudevents+json or application/cloudevents-batch+json';
    throw new ServiceError('unsupported_media_type', detail);
  }
  const body = await readJson(context);
  const isList = Array.isArray(body);
  const values: unknown[] = isList ? body : [body];
  const candidates = bounded(values).map((value) => ({
    eventId: textIn(value, 'eventId'),
    decoded: decodeEvent(value, rules),
  }));
  return { candidates, isList };
}

function bounded<T>(values: T[]): T[] {
  if (values.length <= eventsMax && values.length > 0) return values;
  const message =
    values.length === 0
      ? 'must hold at least one event'
      : `holds ${values.length} events: send at most ${eventsMax} at a time`;
  throw new ServiceError('invalid_request', `the body ${message}`, [{ path: '', message }]);
}

function fromCloudEvent(result: CloudEventResult, rules: EventRules): Candidate {
  const given = 'event' in result ? { ...result.event } : result.given;
  const faults: Fault[] = 'event' in result ? [] : [...result.faults];
  // Not even an object: there is no data to look into.
  if (given === null) return { eventId: null, decoded: { faults } };
  const { id, type, subject, data } = given;
  const decoded = decodeEvent(data, rules);
  if (isText(type) && type !== usageEventType) {
    faults.push({ path: 'type', message: `must be ${usageEventType}` });
  }
  if (isOther(id, textIn(data, 'eventId'))) {
    faults.push({ path: 'id', message: 'must be data.eventId' });
  }
  if (isOther(subject, textIn(data, 'orgId'))) {
    faults.push({ path: 'subject', message: 'must be data.orgId' });
  }
  if ('faults' in decoded) {
    faults.push(
      ...decoded.faults.map(({ path, message }) => ({
        path: ['data', path].filter(Boolean).join('.'),
        message,
      })),
    );
  }
  return {
    eventId: textIn(data, 'eventId'),
    decoded: faults.length > 0 ? { faults } : decoded,
    trace: 'event' in result ? result.event.trace : undefined,
  };
}

/** Missing or empty ones have a fault of their own. */
function isText(attribute: unknown): attribute is string {
  return typeof attribute === 'string' && attribute !== '';
}

function isOther(attribute: unknown, field: string | null): boolean {
  return isText(attribute) && field !== null && attribute.toLowerCase() !== field.toLowerCase();
}

/**
 * A field of an event that need not be valid; null unless it is text. Nor with NUL, which would
 * turn it into a number in the answer (see decimal-json).
 */
function textIn(value: unknown, name: 'eventId' | 'orgId'): string | null {
  const field = z.record(z.string(), z.unknown()).safeParse(value).data?.[name];
  return typeof field === 'string' && !field.includes('\u0000') ? field : null;
}
