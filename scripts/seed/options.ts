import type { Command } from 'commander';
import * as z from 'zod';
import type { Settings } from '../../shared/platform/env.ts';
import { jsonForm, withJson } from '../cli/api-options.ts';
import { countOption, waitOption } from '../cli/command-line.ts';
import { targetForm, targetOf, withTarget } from '../publish/target-options.ts';
import type { SeedOptions } from './run.ts';

export function defineSeed(command: Command): Command {
  command
    .description(
      'send synthetic events of two orgs and three models, repeated and invalid ones among them, ' +
        'and check what was stored',
    )
    .option('--events <n>', 'different valid events; repeats and invalid ones on top', '2000')
    .option('--wait <seconds>', 'how long the service may count nothing more', '60');
  return withJson(withTarget(command));
}

export const seedForm = z.object({
  ...targetForm.shape,
  ...jsonForm.shape,
  events: countOption(20, 1_000_000),
  wait: waitOption,
});

/** @throws UsageError that names what is wrong */
export function seedOptions(options: z.output<typeof seedForm>, settings: Settings): SeedOptions {
  const { events, wait: waitMs } = options;
  return { ...targetOf(options, settings), events, waitMs };
}
