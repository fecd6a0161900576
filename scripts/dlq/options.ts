import { Command } from 'commander';
import { z } from 'zod';
import { parseInstant } from '../../shared/instant.ts';
import { checkOptions, parseArguments, UsageError } from '../publish/command-line.ts';
import { isOpen, type LetterFilter } from './filter.ts';

interface Common {
  filter: LetterFilter;
  json: boolean;
}

export type DlqOptions =
  | (Common & { verb: 'list'; limit: number })
  | (Common & { verb: 'show' })
  | (Common & { verb: 'replay'; limit: number; dryRun: boolean; from: string | null })
  | (Common & { verb: 'drop'; limit: number; to: string | null; isConfirmed: boolean });

const limitMax = 10_000;
const limitDefault = 100;

const time = z.string().transform((text, context) => {
  const ms = parseInstant(text) ?? parseInstant(`${text}T00:00:00Z`);
  if (ms !== undefined) return ms;
  const message = 'must be a date such as 2026-01-31, or an RFC 3339 date-time';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});
const offsets = z
  .string()
  .regex(/^\d{1,15}(-\d{1,15})?$/, 'must be an offset such as 42, or a range such as 42-99')
  .transform((text) => {
    const [from = '', to = from] = text.split('-');
    return { from: Number(from), to: Number(to) };
  })
  .refine(({ from, to }) => from <= to, 'must begin before it ends');
const uuid = z.guid('must be a uuid').transform((text) => text.toLowerCase());
const limitMessage = `must be a whole number from 1 to ${limitMax}`;

const form = z.object({
  reason: z.string().min(1, 'must not be empty').optional(),
  stream: z.string().optional(),
  offset: offsets.optional(),
  org: uuid.optional(),
  event: uuid.optional(),
  since: time.optional(),
  until: time.optional(),
  limit: z
    .string()
    .regex(/^\d{1,6}$/, limitMessage)
    .transform(Number)
    .refine((count) => count >= 1 && count <= limitMax, limitMessage)
    .default(limitDefault),
  json: z.boolean().default(false),
  dryRun: z.boolean().default(false),
  from: z.string().optional(),
  to: z.string().optional(),
  all: z.boolean().default(false),
  yes: z.boolean().default(false),
});

/**
 * The command line of `npm run dlq`.
 *
 * @param isTerminal whether a person can be asked
 * @throws UsageError that names what is wrong
 */
export function readDlqOptions(args: readonly string[], isTerminal: boolean): DlqOptions {
  if (args.length === 0) throw new UsageError('needs list, show, replay or drop; see --help');
  const { program, chosen } = dlqProgram();
  parseArguments(program, args);
  const { verb, options, id } = chosen();
  const { json, limit, dryRun, yes, all, ...given } = checkOptions(options, form);
  const source = id === undefined ? null : sourceOf(id);
  const common = {
    json,
    filter: {
      reason: given.reason ?? null,
      stream: source?.stream ?? given.stream ?? null,
      offsets: source?.offsets ?? given.offset ?? null,
      org: given.org ?? null,
      event: given.event ?? null,
      sinceMs: given.since ?? null,
      untilMs: given.until ?? null,
    },
  };
  switch (verb) {
    case 'list':
      return { verb, ...common, limit };
    case 'show':
      if (isOpen(common.filter)) throw new UsageError('show needs a letter such as stream/42');
      return { verb, ...common };
    case 'replay':
      return { verb, ...common, limit, dryRun, from: given.from ?? null };
    case 'drop':
      if (isOpen(common.filter) && !all) throw new UsageError('drop needs a filter, or --all');
      if (!yes && (json || !isTerminal)) {
        throw new UsageError('drop needs --yes where nobody can be asked');
      }
      return { verb, ...common, limit, to: given.to ?? null, isConfirmed: yes };
  }
}

function sourceOf(id: string): { stream: string; offsets: { from: number; to: number } } {
  const [, stream, text] = /^(.+)\/(\d{1,15})$/.exec(id) ?? [];
  if (stream === undefined) throw new UsageError(`${id} must be stream/offset, as list prints it`);
  return { stream, offsets: { from: Number(text), to: Number(text) } };
}

interface Chosen {
  verb: DlqOptions['verb'];
  options: unknown;
  id: string | undefined;
}

function dlqProgram(): { program: Command; chosen(): Chosen } {
  let chosen: Chosen | undefined;
  const program = new Command('npm run dlq --')
    .description(
      'Looks into the dead-letter queue of the stream (RABBITMQ_URL). Exit code 0: done; ' +
        '1: failed, or some letters are still not valid; 2: wrong usage; 3: no broker',
    )
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  const subcommand = (verb: Chosen['verb'], description: string) =>
    program
      .command(verb)
      .description(description)
      .option('--reason <text>', 'a part of any of the reasons')
      .option('--stream <name>', 'the stream it came from')
      .option('--offset <n>', 'its offset there, or a range such as 42-99')
      .option('--org <uuid>', 'the org that its bytes name')
      .option('--event <uuid>', 'the event that its bytes name')
      .option('--since <time>', 'rejected then or later')
      .option('--until <time>', 'rejected before')
      .option('--json', 'JSON in place of text');
  const limited = (verb: Chosen['verb'], description: string) =>
    subcommand(verb, description).option('--limit <n>', 'letters at most', String(limitDefault));
  const choose = (verb: Chosen['verb'], command: Command, id?: string) => {
    chosen = { verb, options: command.opts(), id };
  };

  limited('list', 'what waits, and the most frequent reasons').action((_, command) =>
    choose('list', command),
  );
  subcommand('show', 'one letter as a whole, and what the rules say of it now')
    .argument('[letter]', 'stream/offset, as list prints it')
    .action((id, _, command) => choose('show', command, id));
  limited('replay', 'publishes what is valid now, and removes it; safe to repeat')
    .option('--dry-run', 'only say what would be published')
    .option('--from <file>', 'from a file of drop --to in place of the queue')
    .action((_, command) => choose('replay', command));
  limited('drop', 'removes letters for good')
    .option('--all', 'where no filter is given')
    .option('--yes', 'do not ask')
    .option('--to <file>', 'save them first, as NDJSON that replay --from reads')
    .action((_, command) => choose('drop', command));
  return {
    program,
    chosen: () => {
      if (chosen === undefined) throw new UsageError('needs list, show, replay or drop');
      return chosen;
    },
  };
}
