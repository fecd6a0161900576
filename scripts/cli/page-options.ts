import type { Command } from 'commander';
import * as z from 'zod';
import { countOption } from './command-line.ts';
import { printable } from './printable.ts';

/** Lists come in pages, as the API gives them. */
export function withPages(command: Command): Command {
  return command
    .option('--limit <n>', 'how many at most', '50')
    .option('--cursor <text>', 'where to go on: the nextCursor of the page before');
}

export const pageForm = z.object({ limit: countOption(1, 500), cursor: z.string().optional() });

export function pageQuery({ limit, cursor }: z.output<typeof pageForm>): Record<string, string> {
  return { limit: String(limit), ...(cursor === undefined ? {} : { cursor }) };
}

/** Says beneath a page whether there is another. */
export function pageText(
  { items, nextCursor }: { items: readonly unknown[]; nextCursor: string | null },
  what: string,
): string {
  const more = nextCursor === null ? '' : `; more with --cursor ${printable(nextCursor)}`;
  return `${items.length} ${what}${more}`;
}
