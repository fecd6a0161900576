import type { Context } from 'hono';
import * as z from 'zod';
import { parseKeepingCosts } from '../decimal-json.ts';
import { hasMoreKeys, isFields } from '../fields.ts';
import { type Fault, faultsOf, faultsText, ServiceError } from '../platform/errors.ts';
import { type TraceHeaders, traceIn } from '../platform/telemetry/tracing.ts';
import { parseInstant } from '../queries/instant.ts';
import { readBody, smallBodyMaxBytes } from './body.ts';
import type { AppEnv } from './context.ts';

/**
 * CloudEvents 1.0 over HTTP in binary, structured and batched mode, by the HTTP protocol binding.
 * Not by the `cloudevents` package: it invents a missing id or time, takes an unknown content
 * type's data as text, reads costs through floats, and names no field when it refuses.
 */
export interface CloudEvent {
  id: string;
  source: string;
  type: string;
  subject?: string | undefined;
  time?: string | undefined;
  /** Where it was made, from the extension for distributed tracing. */
  trace?: TraceHeaders | undefined;
  /** Knative's, on what it gives to a dead-letter sink: who did not take it, and the last status. */
  knativeerrordest?: string | undefined;
  knativeerrorcode?: string | undefined;
  data?: unknown;
}

/** Extensions are few: what has more is no CloudEvent, and is not looked through. */
export const attributesMax = 64;

const attribute = z.string().min(1, 'must not be empty');

export const cloudEventSchema = z.object({
  specversion: z.literal('1.0', 'must be 1.0'),
  id: attribute,
  source: attribute,
  type: attribute,
  subject: attribute.optional(),
  time: z
    .string()
    .refine((text) => parseInstant(text) !== undefined, 'must be an RFC 3339 date-time')
    .optional(),
  datacontenttype: z.string().refine(isJson, 'must be application/json').optional(),
  knativeerrordest: z.coerce.string().optional(),
  // An integer in structured mode, text in a header.
  knativeerrorcode: z.coerce.string().optional(),
  data: z.unknown().optional(),
  data_base64: z.base64('must be base64').optional(),
});

/** A parsed CloudEvent, or why it is none, with what could be read of it all the same. */
export type CloudEventResult =
  | { event: CloudEvent }
  | { faults: Fault[]; given: Readonly<Record<string, unknown>> | null };

export type CloudEventMode = 'binary' | 'structured' | 'batch';

/** How a request carries CloudEvents, or null when it does not. */
export function cloudEventMode(context: Context<AppEnv>): CloudEventMode | null {
  const contentType = mediaType(context);
  if (contentType === 'application/cloudevents-batch+json') return 'batch';
  if (contentType === 'application/cloudevents+json') return 'structured';
  const headers = Object.keys(context.req.header());
  return headers.some((name) => name.startsWith('ce-')) ? 'binary' : null;
}

/** The request's content type without parameters, lower case. */
export function mediaType(context: Context<AppEnv>): string {
  const [type = ''] = (context.req.header('Content-Type') ?? '').split(';');
  return type.trim().toLowerCase();
}

function isJson(contentType: string): boolean {
  return /^application\/(json|[a-z0-9.+-]+\+json)\s*(;|$)/i.test(contentType);
}

/**
 * The body as JSON, costs kept as text.
 *
 * @throws ServiceError `invalid_request` when it is none; what `readBody` throws.
 */
export async function readJson(context: Context<AppEnv>, maxBytes: number): Promise<unknown> {
  return parseBody(await readBody(context, maxBytes));
}

function parseBody(bytes: Buffer): unknown {
  try {
    return jsonOf(bytes);
  } catch (error) {
    const message = `must be JSON: ${reasonOf(error)}`;
    throw new ServiceError('invalid_request', `the body ${message}`, [{ path: '', message }]);
  }
}

/** @throws SyntaxError for what is no JSON, TypeError for what is not even UTF-8. */
function jsonOf(bytes: Buffer): unknown {
  return parseKeepingCosts(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
}

function reasonOf(error: unknown): string {
  return error instanceof SyntaxError ? error.message : 'it is not UTF-8';
}

/**
 * The CloudEvents of a request; each that is malformed says why, alone.
 *
 * @param checkCount throws where a batch holds too many or too few, before any is looked at
 */
export async function readCloudEvents(
  context: Context<AppEnv>,
  mode: CloudEventMode,
  maxBytes: number,
  checkCount: (count: number) => void,
): Promise<CloudEventResult[]> {
  if (mode === 'binary') return [parseCloudEvent(await binaryAttributes(context, maxBytes))];
  const body = await readJson(context, maxBytes);
  if (mode === 'structured') return [parseCloudEvent(body)];
  if (Array.isArray(body)) {
    checkCount(body.length);
    return body.map(parseCloudEvent);
  }
  const message = 'a batch of CloudEvents must be a JSON array';
  throw new ServiceError('invalid_request', message, [{ path: '', message }]);
}

/**
 * The one CloudEvent of a request, as our own functions are sent it.
 *
 * @throws ServiceError `invalid_request` with every fault.
 */
export async function readCloudEvent(context: Context<AppEnv>): Promise<CloudEvent> {
  const mode = cloudEventMode(context);
  if (mode === null || mode === 'batch') {
    const detail =
      'this takes one CloudEvent: ce- headers (binary mode) or application/cloudevents+json';
    throw new ServiceError('invalid_request', detail, [{ path: '', message: detail }]);
  }
  const [result] = await readCloudEvents(context, mode, smallBodyMaxBytes, () => {});
  if (result !== undefined && 'event' in result) return result.event;
  const faults = result?.faults ?? [];
  const detail = `the CloudEvent is malformed: ${faultsText(faults)}`;
  throw new ServiceError('invalid_request', detail, faults);
}

/** What names an attribute, in letters and digits alone: data_base64 is none. */
const attributeHeader = /^ce-([a-z0-9]+)$/;

/** Binary mode: attributes are `ce-` headers, percent-encoded; the body is the data. */
async function binaryAttributes(
  context: Context<AppEnv>,
  maxBytes: number,
): Promise<Record<string, unknown>> {
  const attributes: Record<string, unknown> = {};
  for (const [header, value] of Object.entries(context.req.header())) {
    const [, name] = attributeHeader.exec(header) ?? [];
    // The data is the body, whatever a header says.
    if (name !== undefined && name !== 'data') attributes[name] = percentDecoded(value);
  }
  const contentType = context.req.header('Content-Type');
  if (contentType !== undefined) attributes.datacontenttype = contentType;
  const body = await readBody(context, maxBytes);
  if (body.length > 0) attributes.data = parseBody(body);
  return attributes;
}

function percentDecoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function parseCloudEvent(value: unknown): CloudEventResult {
  if (hasMoreKeys(value, attributesMax)) {
    const message = `must have at most ${attributesMax} attributes`;
    return { faults: [{ path: '', message }], given: null };
  }
  let given = isFields(value) ? withoutNull(value) : null;
  const parsed = cloudEventSchema.safeParse(given ?? value);
  const faults = parsed.success ? [] : faultsOf(parsed.error);
  if (typeof given?.data_base64 === 'string') {
    if (given.data !== undefined) {
      faults.push({ path: 'data_base64', message: 'must not be there beside data' });
    }
    try {
      given = { ...given, data: jsonOf(Buffer.from(given.data_base64, 'base64')) };
    } catch (error) {
      faults.push({ path: 'data_base64', message: `must hold JSON: ${reasonOf(error)}` });
    }
  }
  if (!parsed.success || faults.length > 0) return { faults, given };
  const { specversion: _, datacontenttype: __, data_base64: ___, ...event } = parsed.data;
  return { event: { ...event, trace: traceIn(given ?? {}), data: given?.data } };
}

/** A member that is null is an attribute that is not set (JSON event format 1.0.2, section 2.2). */
function withoutNull(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}
