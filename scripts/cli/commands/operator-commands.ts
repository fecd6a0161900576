import { type Command, Option } from 'commander';
import * as z from 'zod';
import { defineReplay, replayForm, replayOptions } from '../../replay/options.ts';
import { defineSeed, seedForm, seedOptions } from '../../seed/options.ts';
import { defineSmoke, smokeForm, smokeOptions } from '../../smoke/options.ts';
import { apiForm, jsonForm, orgForm, withApi, withJson, withOrg } from '../api-options.ts';
import type { Cli } from '../cli.ts';
import { countOption } from '../command-line.ts';
import { UsageError } from '../failure.ts';
import { withExamples } from '../help.ts';
import { traced } from '../settings.ts';
import { timeForms, timeOption } from '../time.ts';

/** What runs the service, and what tries it. */
export function addOperatorCommands(program: Command, { does }: Cli): void {
  addFreshness(program, { does });

  const replay = defineReplay(program.command('replay'));
  withExamples(replay, [
    ['a trace, as if it were of yesterday', 'analytics replay trace.csv --shift-to yesterday'],
  ]);
  does(replay, replayForm(Date.now()), (options, [file = '']) =>
    traced('replay', async (settings) => {
      const { runReplay } = await import('../../replay/command.ts');
      return runReplay(replayOptions(file, options, settings), settings, options.json);
    }),
  );

  const seed = defineSeed(program.command('seed'));
  withExamples(seed, [['a service that knows tokens', 'analytics seed --to http --url $URL']]);
  does(seed, seedForm, (options) =>
    traced('seed', async (settings) => {
      const { runSeed } = await import('../../seed/command.ts');
      return runSeed(seedOptions(options, settings), settings, options.json);
    }),
  );

  const verify = withJson(
    program
      .command('verify')
      .description(
        'compare raw events with rollups, offsets with stored batches, and exports with their ' +
          'windows; exit 1 on drift, gaps or staleness. The result is kept in ' +
          'analytics.data_quality_runs',
      )
      .option('--days <n>', 'how many UTC days back, today included', '3')
      .option('--repair', 'rebuild the days that drift from raw events, then verify again'),
  );
  const verifyForm = z.object({
    ...jsonForm.shape,
    days: countOption(1, 400, 'a whole number of days'),
    repair: z.boolean().default(false),
  });
  does(verify, verifyForm, async (options) =>
    (await import('../../verify/run.ts')).runVerify(options),
  );

  const refresh = withJson(
    program
      .command('refresh')
      .description(
        'fold what waits into the rollups, as the schedule does; with --from and --to rebuild ' +
          'the rollups of those whole UTC days from raw events',
      )
      .option('--from <time>', `first day to rebuild: ${timeForms}`)
      .option('--to <time>', 'end of the days to rebuild (a midnight is not included)'),
  );
  const refreshForm = z.object({
    ...jsonForm.shape,
    from: timeOption.optional(),
    to: timeOption.optional(),
  });
  does(refresh, refreshForm, async (options) =>
    (await import('../../refresh/run.ts')).runRefresh(options),
  );

  const migrate = withJson(
    program
      .command('migrate')
      .description('bring DATABASE_URL up to date; safe when several run at once'),
  );
  does(migrate, jsonForm, async (options) =>
    (await import('../../migrate/run.ts')).runMigrate(options),
  );

  const catalog = program.command('catalog').description('names of orgs and models');
  const importNames = withJson(
    catalog
      .command('import')
      .description('add and rename, all that a file names or nothing')
      .argument(
        '<file>',
        'CSV with the columns kind (org or model), id, name, or a JSON array of such objects',
      ),
  );
  does(importNames, jsonForm, async ({ json }, [file = '']) =>
    (await import('../../catalog/import.ts')).importNames(file, json),
  );

  const smoke = defineSmoke(program.command('smoke'));
  does(smoke, smokeForm, (options) =>
    traced('smoke', async (settings) => {
      const { runSmoke } = await import('../../smoke/command.ts');
      return runSmoke(smokeOptions(options, settings));
    }),
  );
}

/** What the API says of freshness, and what it remembers. */
function addFreshness(program: Command, { does }: Cli): void {
  const freshness = withJson(
    withApi(
      withOrg(
        program
          .command('freshness')
          .description(
            'how complete the numbers of an org are, by model; --compare and --clear look into ' +
              'the cache (REDIS_URL) instead, of all orgs unless one is named',
          ),
      ),
    )
      .addOption(
        new Option(
          '--compare',
          'what the cache has otherwise than the table; exit 1 on differences',
        ).conflicts('clear'),
      )
      .option('--clear', 'drop what is cached: the next question reads the table'),
  );
  const form = z.object({
    ...apiForm.shape,
    ...orgForm.shape,
    ...jsonForm.shape,
    compare: z.boolean().default(false),
    clear: z.boolean().default(false),
  });
  withExamples(freshness, [
    ['an org', 'analytics freshness --org $ORG'],
    ['is the cache right?', 'analytics freshness --compare'],
  ]);
  does(freshness, form, async (options) => {
    const { compare, clear, org: orgId = null, json } = options;
    if (compare || clear) {
      const cache = await import('../../freshness/cache.ts');
      const work = compare ? cache.compareCachedFreshness : cache.clearCachedFreshness;
      return work({ orgId, json });
    }
    if (orgId === null) {
      throw new UsageError(
        '--org is needed, or ANALYTICS_ORG; --compare or --clear look into the cache',
      );
    }
    return (await import('../queries/freshness.ts')).showFreshness(options);
  });
}
