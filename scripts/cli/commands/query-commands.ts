import type { Command } from 'commander';
import * as z from 'zod';
import { apiForm, jsonForm, orgForm, withApi, withJson, withOrg } from '../api-options.ts';
import type { Cli } from '../cli.ts';
import { withExamples } from '../help.ts';
import { pageForm, withPages } from '../page-options.ts';
import { rangeForm, seriesForm, withRange, withSeries } from '../window-options.ts';

const ofOrg = z.object({ ...apiForm.shape, ...orgForm.shape, ...jsonForm.shape });
const seriesOptions = z.object({ ...ofOrg.shape, ...seriesForm.shape });

/** What the API is asked about what it knows. */
export function addQueryCommands(program: Command, { does }: Cli): void {
  const asksApi = (command: Command) => withJson(withApi(command));

  const usage = asksApi(
    withSeries(withOrg(program.command('usage').description('usage and spend of an org'))),
  );
  withExamples(usage, [
    ['the last seven days and today, by model', 'analytics usage --org $ORG'],
    [
      'last month by client, in the days of Berlin',
      'analytics usage --start last-month --end this-month --timezone Europe/Berlin --group-by client',
    ],
    [
      'one model, hour by hour',
      'analytics usage --model chat-large --granularity hour --start 24h',
    ],
    [
      'its cost, for a script',
      'analytics usage --group-by none --json | jq .totals.costEstimateCents',
    ],
  ]);
  does(usage, seriesOptions, async (options) =>
    (await import('../queries/usage.ts')).showUsage(options),
  );

  const reliability = asksApi(
    withSeries(
      withOrg(
        program
          .command('reliability')
          .description('error rates, latency percentiles and top errors of an org'),
      ),
    ),
  );
  withExamples(reliability, [
    ['the last six hours', 'analytics reliability --start 6h --granularity hour --group-by none'],
  ]);
  does(reliability, seriesOptions, async (options) =>
    (await import('../queries/reliability.ts')).showReliability(options),
  );

  const models = asksApi(
    withOrg(program.command('models').description('models that an org has used, with their names')),
  );
  does(models, ofOrg, async (options) =>
    (await import('../queries/models.ts')).showModels(options),
  );

  const orgs = asksApi(
    withPages(withRange(program.command('orgs').description('all orgs by cost; for admins'))),
  );
  withExamples(orgs, [
    ['what last month cost', 'analytics orgs --start last-month --end this-month'],
  ]);
  const orgsForm = z.object({
    ...apiForm.shape,
    ...jsonForm.shape,
    ...rangeForm.shape,
    ...pageForm.shape,
  });
  does(orgs, orgsForm, async (options) => (await import('../queries/orgs.ts')).showOrgs(options));
}
