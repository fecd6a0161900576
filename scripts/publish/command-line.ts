import { type Command, CommanderError } from 'commander';
import { z } from 'zod';
import { readSettings, SettingsError } from '../../shared/env.ts';
import { messageOf } from '../../shared/errors.ts';
import { createLogger, startTelemetry } from '../../shared/telemetry.ts';

/** The command was called wrongly: one clear line that names the option, exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/**
 * Reads a command line: commander knows the options' names and writes the help, the schema says
 * what each may hold. All wrong values are named at once.
 *
 * @throws UsageError; CommanderError with exit code 0 after the help was shown
 */
export function readOptions<Schema extends z.ZodType>(
  program: Command,
  args: readonly string[],
  schema: Schema,
): { operands: string[]; options: z.output<Schema> } {
  // The line is written once, by `runCommand`.
  parseArguments(program.exitOverride().configureOutput({ writeErr: () => {} }), args);
  return { operands: program.args, options: checkOptions(program.opts(), schema) };
}

/**
 * For a program with subcommands, which takes its `exitOverride` and output before they are added.
 *
 * @throws as `readOptions` does
 */
export function parseArguments(program: Command, args: readonly string[]): void {
  try {
    program.parse(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError) || error.exitCode === 0) throw error;
    throw new UsageError(error.message.replace(/^error: /, '').replaceAll('\n', ' '));
  }
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

/**
 * The work's exit code, or 2 for wrong usage and 1 for what failed, each with one line. What it
 * publishes is traced where `OTEL_EXPORTER_OTLP_ENDPOINT` says so.
 */
export async function runCommand(name: string, work: () => Promise<number>): Promise<number> {
  let stopTelemetry = async () => {};
  try {
    const settings = readSettings(process.env, { knowsActors: false });
    const logger = createLogger(settings, name, process.stderr);
    stopTelemetry = await startTelemetry(settings, name, logger, null);
    return await work();
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    process.stderr.write(`${name}: ${messageOf(error)}\n`);
    return error instanceof UsageError || error instanceof SettingsError ? 2 : 1;
  } finally {
    await stopTelemetry();
  }
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
