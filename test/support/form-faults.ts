import type * as z from 'zod';
import { faultsOf } from '../../shared/platform/errors.ts';

/** What a form finds wrong with a value, each fault behind the path of the value. */
export function formFaults(form: z.ZodType, value: unknown, at = ''): string[] {
  const { error } = form.safeParse(value);
  if (error === undefined) return [];
  return faultsOf(error).map(({ path, message }) => `${at}${path && `/${path}`}: ${message}`);
}
