import type { Command } from 'commander';
import { type DlqOptions, dlqForm, dlqOptions, limitDefault } from '../../dlq/options.ts';
import { withJson } from '../api-options.ts';
import type { Cli } from '../cli.ts';
import { withExamples } from '../help.ts';
import { traced } from '../settings.ts';
import { timeForms } from '../time.ts';

/** The dead-letter queue. */
export function addDlqCommands(program: Command, { does }: Cli): void {
  const group = program
    .command('dlq')
    .description('the dead-letter queue of the stream (RABBITMQ_URL): what was rejected, and why');
  const command = (verb: DlqOptions['verb'], description: string) => {
    const one = group
      .command(verb)
      .description(description)
      .option('--reason <text>', 'a part of any of the reasons')
      .option('--stream <name>', 'the stream it came from')
      .option('--offset <n>', 'its offset there, or a range such as 42-99')
      .option('--org <uuid>', 'the org that its bytes name')
      .option('--event <uuid>', 'the event that its bytes name')
      .option('--since <time>', `rejected then or later: ${timeForms}`)
      .option('--until <time>', 'rejected before');
    does(withJson(one), dlqForm, (given, [id]) =>
      traced('dlq', async (settings) => {
        const options = dlqOptions(verb, given, id, process.stdin.isTTY === true);
        return (await import('../../dlq/run.ts')).runDlq(options, settings);
      }),
    );
    return one;
  };
  const limited = (verb: DlqOptions['verb'], description: string) =>
    command(verb, description).option('--limit <n>', 'letters at most', String(limitDefault));

  withExamples(limited('list', 'what waits, and the most frequent reasons'), [
    [
      'what was rejected today for its time',
      'analytics dlq list --since today --reason occurredAt',
    ],
  ]);
  command('show', 'one letter as a whole, and what the rules say of it now').argument(
    '[letter]',
    'stream/offset, as list prints it',
  );
  withExamples(
    limited('replay', 'publish what is valid now, and remove it; safe to repeat')
      .option('--dry-run', 'only say what would be published')
      .option('--from <file>', 'from a file of drop --to in place of the queue'),
    [['what would be sent', 'analytics dlq replay --dry-run']],
  );
  withExamples(
    limited('drop', 'remove letters for good')
      .option('--all', 'where no filter is given')
      .option('--yes', 'do not ask')
      .option('--to <file>', 'save them first, as NDJSON that replay --from reads'),
    [['old ones, saved before', 'analytics dlq drop --until 2w --to dropped.ndjson']],
  );
}
