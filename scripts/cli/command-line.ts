import { type Command, CommanderError } from 'commander';
import * as z from 'zod';
import { UsageError } from './failure.ts';

/**
 * Reads a command line: commander knows the options' names and writes the help, the schema says
 * what each may hold. All wrong values are named at once.
 *
 * @throws UsageError; CommanderError with exit code 0 after the help was shown
 */
export function readOptions<Schema extends z.ZodType>(
  command: Command,
  args: readonly string[],
  schema: Schema,
): { operands: string[]; options: z.output<Schema> } {
  command.exitOverride().configureOutput({ writeErr: () => {} });
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    throw wrongUsage(error);
  }
  return { operands: command.args, options: checkOptions(command.opts(), schema) };
}

/** commander's complaint as one line of ours; what is no complaint stays as it is. */
export function wrongUsage(error: unknown): unknown {
  if (!(error instanceof CommanderError) || error.exitCode === 0) return error;
  return new UsageError(error.message.replace(/^error: /, '').replaceAll('\n', ' '));
}

/** @throws UsageError that names every wrong value */
export function checkOptions<Schema extends z.ZodType>(
  options: unknown,
  schema: Schema,
): z.output<Schema> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(
    ({ path, message }) => `${flagOf(String(path[0] ?? ''))} ${message}`,
  );
  throw new UsageError(faults.join('; '));
}

/** `shiftDays` → `--shift-days` */
function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

export const urlOption = z
  .string()
  .refine((text) => /^https?:\/\//.test(text) && URL.canParse(text), 'must be an http:// URL')
  .transform((text) => text.replace(/\/+$/, ''));

export const waitOption = z
  .string()
  .regex(/^\d{1,5}$/, 'must be a number of seconds')
  .transform((text) => Number(text) * 1_000);

export const uuidOption = z.guid('must be a uuid').transform((text) => text.toLowerCase());

/** A whole number, from its text. */
export function countOption(min: number, max: number, what = 'a whole number') {
  const message = `must be ${what} from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,7}$/, message)
    .transform(Number)
    .refine((count) => count >= min && count <= max, message);
}
