import * as z from 'zod';
import { messageOf } from '../../shared/platform/errors.ts';
import { type Actor, actorHeaders } from '../cli/actor.ts';
import { UnavailableError } from '../cli/failure.ts';
import type { Outgoing, Refusal, Target } from './outgoing.ts';
import { retryAfterMs, retrying, TryAgainError } from './retry.ts';

const answerMs = 15_000;
const passing = new Set([429, 502, 503, 504]);

/** Of a 202, and of a 422 or 403 that says so of each event. */
export const answerForm = z.object({
  results: z.array(
    z.object({
      index: z.int().min(0),
      status: z.enum(['accepted', 'duplicate', 'conflict', 'rejected']),
      errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    }),
  ),
});
const problemForm = z.object({ title: z.string().optional(), detail: z.string().optional() });

/** Posts batches of at most 1,000 events to the events function. */
export function openHttpTarget(url: string, actor: Actor): Target {
  const headers = { 'Content-Type': 'application/json', ...actorHeaders(actor) };
  const path = `${url}/analytics/v1/events`;
  // Where nobody ever answered, the address is wrong rather than the moment.
  let hasAnswered = false;

  async function post(body: Buffer): Promise<unknown> {
    let response: Response;
    try {
      const signal = AbortSignal.timeout(answerMs);
      response = await fetch(path, { method: 'POST', headers, body, signal });
      hasAnswered = true;
    } catch (error) {
      const message = `no API answers at ${path}: ${causeOf(error)}`;
      throw hasAnswered ? new TryAgainError(message) : new UnavailableError(message);
    }
    const text = await response.text();
    const answer = jsonOf(text);
    if (response.status === 202 || isOfEach(response.status, answer)) return answer;
    const problem = problemForm.safeParse(answer);
    const detail = problem.data?.detail ?? problem.data?.title ?? text.slice(0, 200);
    const message = `${path} answered ${response.status}: ${detail}`;
    if (!passing.has(response.status)) throw new Error(message);
    throw new TryAgainError(message, retryAfterMs(response.headers.get('Retry-After'), Date.now()));
  }

  return {
    name: path,
    send: async (batch) => {
      const { value, tries } = await retrying(() => post(arrayOf(batch)));
      const answer = answerForm.safeParse(value);
      if (!answer.success || answer.data.results.length !== batch.length) {
        throw new Error(`${path} gave no result for each event: is this the analytics API?`);
      }
      return { refused: refusals(answer.data, batch), wasRepeated: tries > 1 };
    },
    close: async () => {},
  };
}

/** A refusal of all of a batch, event by event; any other says nothing of them. */
function isOfEach(status: number, answer: unknown): boolean {
  return (status === 422 || status === 403) && answerForm.safeParse(answer).success;
}

/** A batch as the body of one request. */
export function arrayOf(batch: readonly Outgoing[]): Buffer {
  const parts = batch.flatMap(({ content }, index) => [Buffer.from(index ? ',' : '['), content]);
  return Buffer.concat([...parts, Buffer.from(']')]);
}

/** What was refused of a batch, and why. */
export function refusals(
  { results }: z.output<typeof answerForm>,
  batch: readonly Outgoing[],
): Refusal[] {
  return results
    .filter(({ status }) => status === 'rejected' || status === 'conflict')
    .map(({ index, errors = [] }) => ({
      label: batch[index]?.label ?? `event ${index} of the batch`,
      reason: errors
        .map(({ path, message }) => (path ? `${path}: ${message}` : message))
        .join('; '),
    }));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** `fetch` says "fetch failed" and keeps the reason beneath. */
export function causeOf(error: unknown): string {
  return error instanceof Error && error.cause !== undefined
    ? messageOf(error.cause)
    : messageOf(error);
}
