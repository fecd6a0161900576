import * as z from 'zod';
import { countOption, uuidOption } from '../cli/command-line.ts';
import { UsageError } from '../cli/failure.ts';
import { timeOption } from '../cli/time.ts';
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
export const limitDefault = 100;

const offsets = z
  .string()
  .regex(/^\d{1,15}(-\d{1,15})?$/, 'must be an offset such as 42, or a range such as 42-99')
  .transform((text) => {
    const [from = '', to = from] = text.split('-');
    return { from: Number(from), to: Number(to) };
  })
  .refine(({ from, to }) => from <= to, 'must begin before it ends');
export const dlqForm = z.object({
  reason: z.string().min(1, 'must not be empty').optional(),
  stream: z.string().optional(),
  offset: offsets.optional(),
  org: uuidOption.optional(),
  event: uuidOption.optional(),
  since: timeOption.optional(),
  until: timeOption.optional(),
  limit: countOption(1, limitMax).default(limitDefault),
  json: z.boolean().default(false),
  dryRun: z.boolean().default(false),
  from: z.string().optional(),
  to: z.string().optional(),
  all: z.boolean().default(false),
  yes: z.boolean().default(false),
});

/**
 * What a command on the dead-letter queue is asked to do.
 *
 * @param id a letter such as `stream/42`
 * @param isTerminal whether a person can be asked
 * @throws UsageError that names what is wrong
 */
export function dlqOptions(
  verb: DlqOptions['verb'],
  options: z.output<typeof dlqForm>,
  id: string | undefined,
  isTerminal: boolean,
): DlqOptions {
  const { json, limit, dryRun, yes, all, ...given } = options;
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
