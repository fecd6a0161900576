import * as z from 'zod';
import { literalOf, parseKeepingCosts } from '../../shared/decimal-json.ts';
import { faultsOf } from '../../shared/platform/errors.ts';
import { CheckFailure, type Failure } from './check.ts';

export interface Answer {
  url: URL;
  /** For people: method, place and X-Request-Id, without the query. */
  request: string;
  status: number;
  headers: Headers;
  body: Buffer;
}

/** Said by a gateway, or for a store, that is not there yet. */
export function mayPass({ status }: Answer): boolean {
  return status === 429 || (status >= 502 && status <= 504);
}

/** An answer that is not the one expected, as a failure with what it says of itself. */
export function unexpected(answer: Answer, expected: string, more: Partial<Failure> = {}) {
  const { status, headers, request } = answer;
  const problem = problemForm.safeParse(jsonOf(answer)).data;
  const location = headers.get('Location');
  const words =
    problem?.detail ?? (location === null ? excerpt(answer.body) : `to ${placeOf(location)}`);
  return new CheckFailure({
    expected,
    came: words === '' ? String(status) : `${status} (${words})`,
    section: status === 401 || status === 403 ? 'access' : 'firstLook',
    ...hintOf(status, problem !== undefined),
    request,
    mayPass: mayPass(answer),
    ...more,
  });
}

/**
 * The JSON of an answer, by a schema. Costs are text, digit for digit.
 *
 * @throws CheckFailure for another status, or for JSON of another form
 */
export function readJson<Schema extends z.ZodType>(
  answer: Answer,
  status: number,
  form: Schema,
): z.output<Schema> {
  if (answer.status !== status) throw unexpected(answer, String(status));
  const value = jsonOf(answer);
  const parsed = form.safeParse(value);
  if (parsed.success) return parsed.data;
  if (value === undefined) throw unexpected(answer, 'JSON', { hint: isApi });
  const faults = faultsOf(parsed.error).map(({ path, message }) => `${path} ${message}`);
  throw unexpected(answer, 'JSON as the API documents it', {
    came: `other JSON: ${faults.slice(0, 3).join('; ')}`,
  });
}

/** What the server's clock showed when it answered, to the second before. Ours may be wrong. */
export function serverTimeMs({ headers }: Answer): number {
  const ms = Date.parse(headers.get('Date') ?? '');
  return Number.isNaN(ms) ? Math.floor(Date.now() / 1_000) * 1_000 : ms;
}

/** A cost in an answer: a JSON number, kept as the text it was written in. */
const cents = z.unknown().transform((value, context) => {
  const text = literalOf(value);
  // More decimals than the contract gives would be rounded away where costs are added up.
  if (text !== undefined && /^\d+(\.\d{1,4})?$/.test(text)) return text;
  context.addIssue({ code: 'custom', message: 'must be a number with at most 4 decimals' });
  return z.NEVER;
});

/** The sums of usage and of exports. */
export const sumsForm = z.object({
  invocations: z.int(),
  errors: z.int(),
  inputTokens: z.int(),
  outputTokens: z.int(),
  costEstimateCents: cents,
});

const problemForm = z.object({ detail: z.string() });

function jsonOf({ body }: Answer): unknown {
  try {
    return parseKeepingCosts(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Where what answers may be something else. */
export const isApi = 'is --url the address of the API?';

/** What is most often wrong with the command rather than with the service. */
function hintOf(status: number, isOurs: boolean): Pick<Failure, 'hint'> {
  if (status === 401) return { hint: '--gateway-secret or --token' };
  if (status === 403) return { hint: '--roles and --orgs' };
  return isOurs || status < 300 || status >= 500 ? {} : { hint: isApi };
}

function placeOf(location: string): string {
  const [place = ''] = location.split('?');
  return place;
}

/** Enough to see what it is, on one line. */
export function excerpt(body: Buffer): string {
  return body.toString('utf8', 0, 300).replace(/\s+/g, ' ').trim();
}
