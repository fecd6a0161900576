import tab from '@bomb.sh/tab/commander';
import { Command } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import type { Cli } from './cli.ts';
import { addDlqCommands } from './commands/dlq-commands.ts';
import { addEventsCommands } from './commands/events-commands.ts';
import { addExportsCommands } from './commands/exports-commands.ts';
import { addOperatorCommands } from './commands/operator-commands.ts';
import { addQueryCommands } from './commands/query-commands.ts';

/** Every command, defined once: the command line, its help, completions and docs/cli.md. */
export function analyticsProgram(cli: Cli): Command {
  const program = new Command('analytics')
    .description(
      'The Analytics Service from the command line: what it knows, exports, events, and what ' +
        'runs it. Commands that ask the API take its address and who asks from ANALYTICS_URL, ' +
        'ANALYTICS_TOKEN and ANALYTICS_ORG; those that run the service take its own settings.',
    )
    .version(packageJson.version)
    .exitOverride()
    // What is wrong is told once, by `runAnalytics`.
    .configureOutput({ writeErr: () => {} })
    .addHelpText(
      'after',
      '\nExit codes: 0 done; 1 failed, or not all is well; 2 wrong usage; 3 somebody who is ' +
        'needed does not answer.\nAnswers go to standard output, as a table or with --json as ' +
        'one JSON value; all else goes to standard error.',
    );
  addQueryCommands(program, cli);
  addExportsCommands(program, cli);
  addEventsCommands(program, cli);
  addOperatorCommands(program, cli);
  addDlqCommands(program, cli);
  tab(program, { completionCommandName: 'completion' });
  return program;
}
