import * as z from 'zod';
import { exportJob, exportsAnswer } from '../../functions/exports/openapi.ts';
import { reliabilityAnswer } from '../../functions/reliability/openapi.ts';
import { orgsAnswer, usageAnswer } from '../../functions/usage/openapi.ts';
import { literalOf } from '../../shared/decimal-json.ts';

/** The API's answers as its document says them, but for what a float would change. */

/** A cost, as text that has every digit. */
const cents = z.unknown().transform((value, context) => {
  const text = literalOf(value);
  if (text !== undefined) return text;
  context.addIssue({ code: 'custom', message: 'must be a number' });
  return z.NEVER;
});

/** A count or a sum of counts, which a busy org may have beyond 2^53. */
const whole = z.unknown().transform((value, context) => {
  const text = literalOf(value) ?? (typeof value === 'number' ? String(value) : '');
  if (/^\d+$/.test(text)) return BigInt(text);
  context.addIssue({ code: 'custom', message: 'must be a whole number' });
  return z.NEVER;
});

const sums = {
  invocations: whole,
  errors: whole,
  inputTokens: whole,
  outputTokens: whole,
  costEstimateCents: cents,
};

const usagePoint = usageAnswer.shape.series.element.extend(sums);
export const usageForm = usageAnswer.extend({
  series: z.array(usagePoint),
  totals: usageAnswer.shape.totals.extend(sums),
});
export type UsagePoint = z.output<typeof usagePoint>;
export type UsageSums = z.output<typeof usageForm>['totals'];

const statusCounts = z.object({ success: whole, error: whole, timeout: whole, throttled: whole });
const { series, totals, topErrors } = reliabilityAnswer.shape;
export const reliabilityForm = reliabilityAnswer.extend({
  series: z.array(series.element.extend({ invocations: whole, statusCounts })),
  totals: totals.extend({ invocations: whole, statusCounts }),
  topErrors: z.array(topErrors.element.extend({ count: whole })),
});

export const orgsForm = orgsAnswer.extend({
  items: z.array(orgsAnswer.shape.items.element.extend(sums)),
});

export const jobForm = exportJob.extend({
  totals: exportJob.shape.totals.unwrap().extend(sums).nullable(),
});
export type Job = z.output<typeof jobForm>;

export const jobsForm = exportsAnswer.extend({ items: z.array(jobForm) });
