import { type Context, Hono } from 'hono';
import { roles } from '../../shared/access.ts';
import type { EventSink } from '../../shared/events/event-sink.ts';
import type { Refusals } from '../../shared/events/refusals.ts';
import { decodeEvent, type EventRules } from '../../shared/events/usage-event.ts';
import { fieldOf } from '../../shared/fields.ts';
import type { Access } from '../../shared/http/actor.ts';
import { eventsBodyMaxBytes } from '../../shared/http/body.ts';
import {
  type CloudEventResult,
  cloudEventMode,
  mediaType,
  readCloudEvents,
  readJson,
} from '../../shared/http/cloud-event.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { json } from '../../shared/http/json.ts';
import { problem } from '../../shared/http/problem.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { type Fault, faultsText, ServiceError } from '../../shared/platform/errors.ts';
import { type Candidate, judge, receiptOf } from './judgement.ts';
import { refusalLog } from './refusal-log.ts';

export interface EventsDeps {
  sink: EventSink;
  refusals: Refusals;
  access: Access;
  settings: Settings;
}

export const usageEventType = 'ai.usage.recorded.v1';
export const eventsMax = 1_000;

/** Takes usage events over HTTP: plain JSON or CloudEvents, one or many. */
export function eventsApp({ sink, refusals, access, settings }: EventsDeps): Hono<AppEnv> {
  const app = new Hono<AppEnv>().basePath('/analytics/v1/events');
  const logRefusal = refusalLog();
  const rules = (): EventRules => ({
    nowMs: Date.now(),
    rawRetentionDays: settings.RAW_RETENTION_DAYS,
  });

  app.post('/', async (context) => {
    const anyOf = [roles.eventsWrite];
    const actor = access.authorize(context, { action: 'events:write', anyOf, orgId: null });
    const refused = (accepted: number, rejected: number, reason: string) => {
      refusals.add(rejected);
      logRefusal(context, { subject: actor.subject, accepted, rejected, reason });
    };
    const { candidates, isList } = await readCandidates(context, rules()).catch(
      (error: unknown) => {
        // A body of which no event can be told counts as one.
        if (isRefusal(error)) refused(0, 1, error.message);
        throw error;
      },
    );
    const isEverywhere = actor.roles.includes(roles.admin);
    const verdicts = judge(candidates, ({ orgId }) =>
      isEverywhere || actor.orgs.includes(orgId) ? null : `${orgId} is not among the actor's orgs`,
    );
    const valid = verdicts.filter((verdict) => 'event' in verdict);
    const origins = new Map(
      valid.flatMap(({ event, trace }) => (trace === undefined ? [] : [[event, trace] as const])),
    );
    const acceptances = await sink.accept(
      valid.map(({ event }) => event),
      origins,
    );
    const { receipt, faults } = receiptOf(verdicts, acceptances, isList);
    // Not before: what the sink cannot take is sent again, refused events and all. Conflicts are
    // counted where they are found, in storage.
    const refusedCount = verdicts.length - valid.length;
    if (refusedCount > 0) refused(receipt.accepted, refusedCount, faultsText(faults));
    if (receipt.accepted > 0) return json(context, receipt, 202);
    const detail = `nothing was accepted: ${faultsText(faults)}`;
    const areAllForeign = verdicts.every((verdict) => 'faults' in verdict && verdict.isForeign);
    const code = areAllForeign ? 'forbidden' : 'unprocessable';
    return problem(context, code, detail, faults, receipt);
  });

  app.post('/validate', async (context) => {
    access.authorize(context, { action: 'events:validate', anyOf: [], orgId: null });
    const { candidates, isList } = await readCandidates(context, rules());
    const { receipt, faults } = receiptOf(
      judge(candidates, () => null),
      [],
      isList,
    );
    if (faults.length === 0) return context.body(null, 204);
    const detail = `${faults.length} problem${faults.length === 1 ? '' : 's'} found`;
    return problem(context, 'invalid_request', detail, faults, receipt);
  });

  return app;
}

/** Whether sending the same again is in vain. */
function isRefusal(error: unknown): error is ServiceError {
  return error instanceof ServiceError && error.code !== 'unavailable';
}

/** Everything in the request that wants to be an event. */
async function readCandidates(
  context: Context<AppEnv>,
  rules: EventRules,
): Promise<{ candidates: Candidate[]; isList: boolean }> {
  const mode = cloudEventMode(context);
  if (mode !== null) {
    const results = await readCloudEvents(context, mode, eventsBodyMaxBytes, checkCount);
    const candidates = results.map((result) => fromCloudEvent(result, rules));
    return { candidates, isList: mode === 'batch' };
  }
  const type = mediaType(context);
  if (type !== 'application/json') {
    const detail =
      `the content type ${type === '' ? 'is missing' : `${type} is not known here`}: use ` +
      'application/json, application/cloudevents+json or application/cloudevents-batch+json';
    throw new ServiceError('unsupported_media_type', detail);
  }
  const body = await readJson(context, eventsBodyMaxBytes);
  const isList = Array.isArray(body);
  const values: unknown[] = isList ? body : [body];
  checkCount(values.length);
  const candidates = values.map((value) => ({
    eventId: textIn(value, 'eventId'),
    decoded: decodeEvent(value, rules),
  }));
  return { candidates, isList };
}

/** @throws ServiceError `invalid_request`, before any event is looked at */
function checkCount(count: number): void {
  if (count <= eventsMax && count > 0) return;
  const message =
    count === 0
      ? 'must hold at least one event'
      : `holds ${count} events: send at most ${eventsMax} at a time`;
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
  const field = fieldOf(value, name);
  return typeof field === 'string' && !field.includes('\u0000') ? field : null;
}
