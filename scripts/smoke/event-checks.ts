import * as z from 'zod';
import { encodeEvent } from '../../shared/events/usage-event.ts';
import { type Answer, readJson, serverTimeMs, unexpected } from './answer.ts';
import type { Seen } from './check.ts';
import type { SmokeContext } from './context.ts';

/**
 * Changes nothing.
 *
 * @returns a time before anything is published, by the server's clock
 */
export async function validate({ api, as, plan }: SmokeContext): Promise<Seen<number>> {
  const body = arrayOf(plan.events.map(encodeEvent));
  const answer = await api.ask('/events/validate', { method: 'POST', as, body });
  if (answer.status !== 204) throw unexpected(answer, '204');
  return { seen: `${plan.events.length} events are valid`, value: serverTimeMs(answer) };
}

const answerForm = z.object({
  accepted: z.int(),
  rejected: z.int(),
  results: z.array(
    z.object({
      errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    }),
  ),
});

async function post({ api, as }: SmokeContext, body: string) {
  const answer = await api.ask('/events', { method: 'POST', as, body });
  // Where none is accepted, a refusal that says the same of each event.
  const ofEach = isRefused(answer) ? answer.status : 202;
  const { accepted, rejected, results } = readJson(answer, ofEach, answerForm);
  const faults = results.flatMap(({ errors = [] }) => errors);
  const reasons = [...new Set(faults.map(({ path, message }) => `${path} ${message}`))].join('; ');
  return { answer, accepted, rejected, faults, reasons };
}

/** Whether each event was looked at and none taken: another 403 is about the sender. */
function isRefused({ status, body }: Answer): boolean {
  return status === 422 || (status === 403 && body.includes('"results"'));
}

/** @returns a time after the events were accepted, by the server's clock */
export async function publish(context: SmokeContext): Promise<Seen<number>> {
  const { events } = context.plan;
  const { answer, accepted, rejected, faults, reasons } = await post(
    context,
    arrayOf(events.map(encodeEvent)),
  );
  if (accepted === events.length && rejected === 0) {
    return { seen: `${accepted} events accepted`, value: serverTimeMs(answer) + 1_000 };
  }
  const isForeign = faults.some(({ path }) => path === 'orgId');
  throw unexpected(answer, `${events.length} events accepted`, {
    came: `${accepted} accepted, ${rejected} rejected: ${reasons}`,
    section: isForeign ? 'access' : 'rejects',
    ...(isForeign ? { hint: '--orgs must name the org, or --roles admin' } : {}),
  });
}

const wrong = { inputTokens: -1, latencyMs: -1 };

/** A faulty event is rejected, and everything that is wrong with it named. */
export async function rejectInvalid(context: SmokeContext): Promise<Seen<null>> {
  const event = context.plan.events.slice(0, 1).map((good) => encodeEvent({ ...good, ...wrong }));
  const { answer, accepted, rejected, faults, reasons } = await post(context, arrayOf(event));
  const named = faults.map(({ path }) => path).sort();
  if (accepted === 0 && rejected === 1 && named.join() === Object.keys(wrong).join()) {
    return { seen: `rejected: ${reasons}`, value: null };
  }
  throw unexpected(answer, `an event rejected for its ${Object.keys(wrong).join(' and ')}`, {
    came: `${accepted} accepted, ${rejected} rejected: ${reasons || 'without a reason'}`,
    section: 'rejects',
  });
}

function arrayOf(events: readonly Buffer[]): string {
  return `[${events.join(',')}]`;
}
