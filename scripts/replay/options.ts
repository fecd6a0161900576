import { Command, Option } from 'commander';
import * as z from 'zod';
import type { Settings } from '../../shared/platform/env.ts';
import { jsonForm, withJson } from '../cli/api-options.ts';
import { readOptions, uuidOption, waitOption } from '../cli/command-line.ts';
import { collect, zone } from '../cli/window-options.ts';
import type { TargetOptions } from '../publish/target.ts';
import { targetForm, targetOf, withTarget } from '../publish/target-options.ts';
import { sampleModels, sampleOrgs } from '../sample-events.ts';
import type { Defaults } from './event.ts';
import type { ColumnChoice } from './plan.ts';
import { parsePrice } from './price.ts';
import { targets } from './targets.ts';
import { parseDay, type Shift } from './time.ts';

export interface ReplayOptions extends TargetOptions {
  file: string;
  columns: ColumnChoice;
  defaults: Defaults;
  shift: Shift;
  stretch: number;
  /** Times real time; Infinity for as fast as it goes. */
  speed: number;
  /** How long to wait for the service to count one more event. */
  waitMs: number;
}

const decimal = /^\d{1,9}(\.\d{1,9})?$/;

const price = z.string().transform((text, context) => {
  const parsed = parsePrice(text);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: 'must be cents with at most 6 decimals' });
  return z.NEVER;
});

const number = (message: string) => z.string().regex(decimal, message).transform(Number);

const positive = (message: string) =>
  number(message).refine((value) => value > 0 && value <= 1e6, message);

/** A column's name may hold `=`, a target's does not. */
const map = z.string().transform((text, context) => {
  const at = text.lastIndexOf('=');
  if (at > 0 && at < text.length - 1) {
    return { column: text.slice(0, at), target: text.slice(at + 1) };
  }
  context.addIssue({ code: 'custom', message: 'must be COLUMN=TARGET' });
  return z.NEVER;
});

export const replayForm = (nowMs: number) =>
  z.object({
    ...targetForm.shape,
    ...jsonForm.shape,
    org: uuidOption,
    model: uuidOption,
    provider: z.string().max(64, 'must have at most 64 characters').default(''),
    client: z.string().max(128, 'must have at most 128 characters').optional(),
    map: z.array(map).default([]),
    ignore: z.array(z.string()).default([]),
    timezone: zone,
    inputPrice: price,
    outputPrice: price,
    msPerInputToken: number('must be milliseconds, such as 0.1'),
    msPerOutputToken: number('must be milliseconds, such as 20'),
    shiftDays: z
      .string()
      .regex(/^-?\d{1,6}$/, 'must be a whole number of days')
      .transform(Number)
      .optional(),
    shiftTo: z
      .string()
      .transform((text, context) => {
        const dayStartMs = parseDay(text, nowMs);
        if (dayStartMs !== undefined) return dayStartMs;
        const message = 'must be yesterday or a date such as 2026-01-31';
        context.addIssue({ code: 'custom', message });
        return z.NEVER;
      })
      .optional(),
    stretch: positive('must be a number above 0'),
    speed: z.union(
      [
        z.literal('max').transform(() => Number.POSITIVE_INFINITY),
        positive('must be max or a number above 0'),
      ],
      'must be max or a number above 0',
    ),
    wait: waitOption,
  });

/**
 * What `replay` is asked to do.
 *
 * @throws UsageError that names what is wrong
 */
export function replayOptions(
  file: string,
  options: z.output<ReturnType<typeof replayForm>>,
  settings: Settings,
): ReplayOptions {
  const { stretch, speed, wait: waitMs, shiftDays = 0, shiftTo } = options;
  return {
    file,
    ...targetOf(options, settings),
    stretch,
    speed,
    waitMs,
    columns: { maps: options.map, ignores: options.ignore, timeZone: options.timezone },
    shift: shiftTo === undefined ? { days: shiftDays } : { toDayMs: shiftTo },
    defaults: {
      orgId: options.org,
      modelId: options.model,
      provider: options.provider,
      clientId: options.client ?? null,
      inputPrice: options.inputPrice,
      outputPrice: options.outputPrice,
      msPerInputToken: options.msPerInputToken,
      msPerOutputToken: options.msPerOutputToken,
    },
  };
}

/** The options of a command line. Throws as `replayOptions` does. */
export function readReplayOptions(
  args: readonly string[],
  settings: Settings,
  nowMs: number,
): ReplayOptions {
  const command = defineReplay(new Command('replay'));
  const { operands, options } = readOptions(command, args, replayForm(nowMs));
  return replayOptions(operands[0] ?? '', options, settings);
}

export function defineReplay(command: Command): Command {
  const [model] = sampleModels;
  const { inputPrice = 300, outputPrice = 1_500, modelId = '' } = model ?? {};
  command
    .description(
      'replay a CSV or JSON file as usage events, rows by their column names; of LiteLLM, OpenAI, ' +
        'Langfuse, BurstGPT, Mooncake and Azure the columns are known (docs/replay.md)',
    )
    .argument('<file>', 'CSV with a header line, a JSON list, or JSON objects; may be gzipped')
    .option(
      '--map <column=target>',
      `what a column holds: ${Object.keys(targets).join(', ')} or metadata.KEY; repeatable`,
      collect,
    )
    .option('--ignore <column>', 'a column that does not count; repeatable', collect)
    .option('--timezone <zone>', 'IANA zone of times without one, or local', 'UTC')
    .option('--org <uuid>', 'the org of rows that name none', sampleOrgs[0])
    .option('--model <uuid>', 'the model of rows that name none', modelId)
    .option('--provider <name>', 'of models that are named without one')
    .option('--client <name>', 'the client of rows that name none')
    .option('--input-price <cents>', 'for a million input tokens', String(inputPrice))
    .option('--output-price <cents>', 'for a million output tokens', String(outputPrice))
    .option('--ms-per-input-token <ms>', 'latency of rows that have none', '0.1')
    .option('--ms-per-output-token <ms>', 'latency of rows that have none', '20')
    .addOption(new Option('--shift-days <n>', 'move all events by whole days').conflicts('shiftTo'))
    .option('--shift-to <day>', "yesterday or a date: what the first event's UTC day becomes")
    .option('--stretch <n>', 'multiply the time since the first event', '1')
    .option('--speed <n>', 'max, or times real time', 'max')
    .option('--wait <seconds>', 'how long the service may count nothing more', '60');
  return withJson(withTarget(command));
}
