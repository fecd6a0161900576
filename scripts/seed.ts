import { Command } from 'commander';
import { z } from 'zod';
import { readSettings } from '../shared/env.ts';
import {
  readOptions,
  runCommand,
  UsageError,
  urlOption,
  waitOption,
} from './publish/command-line.ts';
import { targetKinds } from './publish/target.ts';
import { seed } from './seed/run.ts';
import { mismatches, summaryOf } from './seed/summary.ts';

const countFault = 'must be a whole number from 20 to 1000000';
const optionsForm = z.object({
  events: z
    .string()
    .regex(/^\d{1,7}$/, countFault)
    .transform(Number)
    .refine((count) => count >= 20 && count <= 1_000_000, countFault),
  to: z.enum(targetKinds, 'must be stream or http'),
  url: urlOption,
  wait: waitOption,
});

process.exitCode = await runCommand('seed', async () => {
  const settings = readSettings(process.env, { knowsActors: false });
  const isStream = settings.RABBITMQ_URL !== undefined;
  const program = new Command('npm run seed --')
    .description('Sends synthetic events for two orgs and three models, and checks what was stored')
    .option('--events <n>', 'different valid events; repeats and invalid ones on top', '2000')
    .option('--to <target>', 'stream or http', isStream ? 'stream' : 'http')
    .option(
      '--url <url>',
      "the API's address",
      `http://127.0.0.1:${settings.PORT ?? settings.HTTP_PORT}`,
    )
    .option('--wait <seconds>', 'how long the service may count nothing more', '60');
  const { options } = readOptions(program, process.argv.slice(2), optionsForm);
  const { wait: waitMs, ...rest } = options;
  if (rest.to === 'stream' && !isStream) {
    throw new UsageError('--to stream needs RABBITMQ_URL in the environment');
  }
  const report = await seed({ ...rest, waitMs }, settings, Date.now());
  console.log(summaryOf(report));
  return mismatches(report).length === 0 ? 0 : 1;
});
