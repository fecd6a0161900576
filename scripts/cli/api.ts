import * as z from 'zod';
import { parseKeepingWholes } from '../../shared/decimal-json.ts';
import { faultsOf } from '../../shared/platform/errors.ts';
import { causeOf } from '../publish/http-target.ts';
import { retryAfterMs, retrying, TryAgainError } from '../publish/retry.ts';
import { type Actor, actorHeaders } from './actor.ts';
import { UnavailableError, UsageError } from './failure.ts';

/** An answer by its schema, and as it came: its text has every digit. */
export interface Told<Value> {
  value: Value;
  json: string;
}

interface Question {
  method?: 'GET' | 'POST';
  query?: URLSearchParams;
  headers?: Record<string, string>;
  /** JSON text. */
  body?: string;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

/** The API for one actor, as a patient client sees it. */
export interface Api {
  readonly url: string;
  /**
   * Asks at a path below /analytics/v1, again for a while where the service cannot answer now. Costs
   * and whole numbers that a float does not hold come as `literalOf` reads them.
   *
   * @throws UsageError for what the API finds wrong with the question; UnavailableError where
   * nobody answers; Error for any other refusal, with the way out
   */
  ask<Form extends z.ZodType>(
    path: string,
    form: Form,
    question?: Question,
  ): Promise<Told<z.output<Form>>>;
  /** The answer as it is, where its status is one of those. Throws as `ask` does. */
  answer(path: string, statuses: readonly number[], question?: Question): Promise<Answer>;
}

const answerMs = 30_000;
/** The API bounds its answers to 10,000 points; this is many times more. */
const answerMaxBytes = 64 * 1_048_576;
const patience = { triesMax: 4, firstWaitMs: 500, waitMaxMs: 5_000 };
const passing = new Set([429, 502, 503, 504]);

const problemForm = z.object({ title: z.string().optional(), detail: z.string() });

export function openApi(url: string, actor: Actor): Api {
  async function send(path: string, question: Question): Promise<Answer> {
    const { method = 'GET', query, headers = {}, body } = question;
    const target = `${url}/analytics/v1${path}`;
    try {
      const response = await fetch(query === undefined ? target : `${target}?${query}`, {
        method,
        headers: {
          Accept: 'application/json',
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...actorHeaders(actor),
          ...headers,
        },
        ...(body === undefined ? {} : { body }),
        // What names the actor must not go to where an answer points.
        redirect: 'manual',
        signal: AbortSignal.timeout(answerMs),
      });
      return {
        status: response.status,
        headers: response.headers,
        text: await textOf(response, target),
      };
    } catch (error) {
      if (error instanceof TypeError || error instanceof DOMException) {
        const words = `no API answers at ${target}: ${causeOf(error)}`;
        if (isBroken(error)) throw new TryAgainError(words);
        throw new UnavailableError(`${words}; is --url right, and the service running?`);
      }
      throw error;
    }
  }

  async function answer(
    path: string,
    statuses: readonly number[],
    question: Question = {},
  ): Promise<Answer> {
    const { value } = await retrying(async () => {
      const given = await send(path, question);
      if (statuses.includes(given.status) || !passing.has(given.status)) return given;
      const waitMs = retryAfterMs(given.headers.get('Retry-After'), Date.now());
      throw new TryAgainError(refusalOf(path, given).message, waitMs);
    }, patience);
    if (statuses.includes(value.status)) return value;
    throw refusalOf(path, value);
  }

  return {
    url,
    answer,
    ask: async (path, form, question = {}) => {
      const { text } = await answer(
        path,
        question.method === 'POST' ? [200, 202] : [200],
        question,
      );
      return { value: parseAnswer(text, form, path), json: text };
    },
  };
}

/** A connection that was there and is no more, as one kept too long: all that we ask may be asked twice. */
function isBroken({ cause }: Error): boolean {
  const code = cause instanceof Error && 'code' in cause ? cause.code : null;
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

/** @throws Error where the body is longer than any answer */
async function textOf(response: Response, target: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > answerMaxBytes) throw new Error(`${target} answers more than 64 MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseAnswer<Form extends z.ZodType>(
  text: string,
  form: Form,
  path: string,
): z.output<Form> {
  const parsed = form.safeParse(jsonOf(text));
  if (parsed.success) return parsed.data;
  const faults = faultsOf(parsed.error).slice(0, 3);
  const words = faults.map((fault) => `${fault.path} ${fault.message}`.trim()).join('; ');
  throw new Error(`${path} answered what the API does not (${words}): is --url its address?`);
}

function jsonOf(text: string): unknown {
  try {
    return parseKeepingWholes(text);
  } catch {
    return undefined;
  }
}

/** A refusal in the API's own words, with the way out. */
function refusalOf(path: string, { status, text }: Answer): Error {
  const problem = problemForm.safeParse(jsonOf(text));
  if (!problem.success) {
    return new Error(`${path} answered ${status}: is --url the address of the API?`);
  }
  const { detail } = problem.data;
  switch (status) {
    case 400:
      return new UsageError(detail);
    case 401:
      return new Error(`${detail}: give --token (ANALYTICS_TOKEN), or --gateway-secret`);
    case 403:
      return new Error(`${detail}: ask as somebody else, by --token, or by --roles and --orgs`);
    default:
      return new Error(`${detail} (${status})`);
  }
}
