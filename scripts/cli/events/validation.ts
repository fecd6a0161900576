import * as z from 'zod';
import { problem } from '../../../shared/openapi/answer-parts.ts';
import { arrayOf } from '../../publish/http-target.ts';
import type { Outgoing, Refusal, Target } from '../../publish/outgoing.ts';
import type { Api } from '../api.ts';

const problemForm = z.object({
  detail: problem.shape.detail,
  errors: problem.shape.errors.default([]),
});

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
  const parsed = problemForm.safeParse(jsonOf(text));
  if (!parsed.success) throw new Error('400 without a problem: is --url the address of the API?');
  const reasons = new Map<number, string[]>();
  for (const { path, message } of parsed.data.errors) {
    const [, index, field = ''] = /^\[(\d+)\]\.?(.*)$/s.exec(path) ?? [];
    if (index === undefined) throw new Error(parsed.data.detail);
    const told = reasons.get(Number(index)) ?? [];
    told.push(field === '' ? message : `${field}: ${message}`);
    reasons.set(Number(index), told);
  }
  return [...reasons].map(([index, told]) => ({
    label: batch[index]?.label ?? `event ${index} of the batch`,
    reason: told.join('; '),
  }));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
