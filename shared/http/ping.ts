import * as z from 'zod';
import { faultsOf, ServiceError } from '../platform/errors.ts';
import type { CloudEvent } from './cloud-event.ts';

export const pingType = 'dev.knative.sources.ping';

/**
 * The job that a schedule's event names.
 *
 * @throws ServiceError `invalid_request` for an event of another type, or a job not among `jobs`.
 */
export function jobOfPing<const Job extends string>(event: CloudEvent, jobs: readonly Job[]): Job {
  if (event.type !== pingType) throw wrongType(event, [pingType]);
  const wanted = jobs.join(' or ');
  const form = z.object({ job: z.enum(jobs, { error: `must be ${wanted}` }) });
  const data = form.safeParse(event.data);
  if (data.success) return data.data.job;
  const faults = faultsOf(data.error).map(({ path, message }) => ({
    path: ['data', path].filter(Boolean).join('.'),
    message,
  }));
  throw new ServiceError('invalid_request', `data must be {"job":"${wanted}"}`, faults);
}

/** The refusal of an event that is not meant for this function. */
export function wrongType(event: CloudEvent, types: readonly string[]): ServiceError {
  const message = `must be ${types.join(' or ')}, not ${event.type}`;
  return new ServiceError('invalid_request', `type ${message}`, [{ path: 'type', message }]);
}
