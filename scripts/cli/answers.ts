import * as z from 'zod';
import { exportJob, exportsAnswer } from '../../functions/exports/openapi.ts';
import { orgsAnswer, usageAnswer } from '../../functions/usage/openapi.ts';
import { literalOf } from '../../shared/decimal-json.ts';

/** The API's answers as its document says them, but for costs: those stay text, digit for digit. */

const cents = z.unknown().transform((value, context) => {
  const text = literalOf(value);
  if (text !== undefined) return text;
  context.addIssue({ code: 'custom', message: 'must be a number' });
  return z.NEVER;
});
const costs = { costEstimateCents: cents };

const usagePoint = usageAnswer.shape.series.element.extend(costs);
export const usageForm = usageAnswer.extend({
  series: z.array(usagePoint),
  totals: usageAnswer.shape.totals.extend(costs),
});
export type UsagePoint = z.output<typeof usagePoint>;
export type UsageSums = z.output<typeof usageForm>['totals'];

export const orgsForm = orgsAnswer.extend({
  items: z.array(orgsAnswer.shape.items.element.extend(costs)),
});

export const jobForm = exportJob.extend({
  totals: exportJob.shape.totals.unwrap().extend(costs).nullable(),
});
export type Job = z.output<typeof jobForm>;

export const jobsForm = exportsAnswer.extend({ items: z.array(jobForm) });
