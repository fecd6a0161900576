import { type Command, Option } from 'commander';
import * as z from 'zod';
import { granularities, isTimeZone } from '../../shared/queries/time-window.ts';
import { groupings } from '../../shared/queries/usage-query.ts';
import { UsageError } from './failure.ts';
import { parseTime, timeForms } from './time.ts';

/** From when to when, and in which zone's days. */
export function withRange(command: Command): Command {
  return command
    .option('--start <time>', `from then: ${timeForms}`, '7d')
    .option('--end <time>', 'until then, itself not included', 'now')
    .option('--timezone <zone>', 'IANA zone, or local for that of this machine', 'UTC');
}

export const zone = z
  .string()
  .transform((text) => (text === 'local' ? Intl.DateTimeFormat().resolvedOptions().timeZone : text))
  .refine(isTimeZone, 'must be an IANA time zone such as Europe/Berlin, or local');

export const rangeForm = z.object({ start: z.string(), end: z.string(), timezone: zone });

/** A window as the API takes it. @throws UsageError for what is no time */
export function rangeOf(
  { start, end, timezone }: z.output<typeof rangeForm>,
  nowMs: number,
): { start: string; end: string } {
  const [startMs, endMs] = [start, end].map((text) => parseTime(text, nowMs, timezone));
  const wrong = [
    ...(startMs === undefined ? ['--start'] : []),
    ...(endMs === undefined ? ['--end'] : []),
  ];
  if (startMs === undefined || endMs === undefined) {
    throw new UsageError(`${wrong.join(' and ')} must be ${timeForms}`);
  }
  if (startMs >= endMs) throw new UsageError('--end must be after --start');
  return { start: new Date(startMs).toISOString(), end: new Date(endMs).toISOString() };
}

export const collect = (value: string, others: string[] | undefined) => [...(others ?? []), value];

/** Which models, by id or name; may be repeated. */
export function withModels(command: Command): Command {
  return command.option('--model <model>', 'only this model, by id or name; repeatable', collect);
}

export const modelsForm = z.object({ model: z.array(z.string()).default([]) });

export function withGranularity(command: Command): Command {
  return command.addOption(
    new Option('--granularity <bucket>', 'how long a bucket is')
      .choices(granularities)
      .default('day'),
  );
}

export const granularityForm = z.object({ granularity: z.enum(granularities) });

/** What a series is made of. */
export function withSeries(command: Command): Command {
  return withGranularity(withModels(withRange(command)))
    .option('--client <name>', "only this client, '' for events without; repeatable", collect)
    .addOption(
      new Option('--group-by <names>', 'what rows are kept apart by')
        .choices(groupings)
        .default('model'),
    );
}

export const seriesForm = z.object({
  ...rangeForm.shape,
  ...modelsForm.shape,
  ...granularityForm.shape,
  client: z.array(z.string()).default([]),
  groupBy: z.enum(groupings),
});
export type SeriesOptions = z.output<typeof seriesForm>;
