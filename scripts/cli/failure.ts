import { SettingsError } from '../../shared/platform/env.ts';
import { ServiceError } from '../../shared/platform/errors.ts';

/** What every command ends with. */
export const exitCodes = { done: 0, failed: 1, usage: 2, unavailable: 3 } as const;

/** The command was called wrongly: one clear line that names the option. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** Somebody who is needed does not answer, or says that he cannot for now. */
export class UnavailableError extends Error {
  override name = 'UnavailableError';
}

/** What anything thrown makes of the exit code. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError || error instanceof SettingsError) return exitCodes.usage;
  if (error instanceof UnavailableError) return exitCodes.unavailable;
  if (error instanceof ServiceError && error.code === 'unavailable') return exitCodes.unavailable;
  return exitCodes.failed;
}
