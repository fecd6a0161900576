import * as z from 'zod';
import { problem } from '../../../shared/openapi/answer-parts.ts';
import { answerForm, arrayOf, refusals } from '../../publish/http-target.ts';
import type { Outgoing, Refusal, Target } from '../../publish/outgoing.ts';
import type { Api } from '../api.ts';

const problemForm = z.object({ detail: problem.shape.detail });

/** Takes events as the events function does, but nothing is sent on: only what is wrong is told. */
export function openValidation(api: Api): Target {
  return {
    name: `${api.url}/analytics/v1/events/validate`,
    send: async (batch) => {
      const body = arrayOf(batch).toString('utf8');
      const { status, text } = await api.answer('/events/validate', [204, 400], {
        method: 'POST',
        body,
      });
      return { refused: status === 204 ? [] : refusalsIn(text, batch), wasRepeated: false };
    },
    close: async () => {},
  };
}

/** @throws Error where the whole request is wrong rather than some of its events */
function refusalsIn(text: string, batch: readonly Outgoing[]): Refusal[] {
  const value = jsonOf(text);
  const problem = problemForm.safeParse(value);
  if (!problem.success) throw new Error('400 without a problem: is --url the address of the API?');
  const answer = answerForm.safeParse(value);
  if (!answer.success) throw new Error(problem.data.detail);
  return refusals(answer.data, batch);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
