import { type Command, Option } from 'commander';
import * as z from 'zod';
import { exportFormats, exportStatuses } from '../../../shared/exports/job.ts';
import { duration } from '../../../shared/platform/env.ts';
import { apiForm, jsonForm, orgForm, withApi, withJson, withOrg } from '../api-options.ts';
import type { Cli } from '../cli.ts';
import { uuidOption } from '../command-line.ts';
import { UsageError } from '../failure.ts';
import { withExamples } from '../help.ts';
import { pageForm, withPages } from '../page-options.ts';
import {
  granularityForm,
  modelsForm,
  rangeForm,
  withGranularity,
  withModels,
  withRange,
} from '../window-options.ts';

const placeForm = z.object({
  ...apiForm.shape,
  ...orgForm.shape,
  ...jsonForm.shape,
  allOrgs: z.boolean().default(false),
});
const waitForm = z.object({ timeout: duration('10m', { min: '1s', max: '24h' }) });
const saveForm = z.object({
  output: z.string().min(1, 'must not be empty').optional(),
  force: z.boolean().default(false),
});
const createForm = z.object({
  ...placeForm.shape,
  ...rangeForm.shape,
  ...modelsForm.shape,
  ...granularityForm.shape,
  ...waitForm.shape,
  ...saveForm.shape,
  format: z.enum(exportFormats),
  wait: z.boolean().default(false),
});
const listForm = z.object({
  ...placeForm.shape,
  ...pageForm.shape,
  status: z.enum(exportStatuses).optional(),
});

/** Files for finance and for incidents. */
export function addExportsCommands(program: Command, { does }: Cli): void {
  const group = program
    .command('exports')
    .description('exports: ask for one, follow it, download it and check it');
  const command = (name: string, description: string) =>
    withOrg(group.command(name).description(description)).option(
      '--all-orgs',
      'over all orgs in place of one; for admins',
    );
  const asksApi = (one: Command) => withJson(withApi(one));
  const waits = (one: Command) =>
    one.option('--timeout <duration>', 'how long to wait at most, such as 30s or 1h', '10m');
  const saves = (one: Command) =>
    one
      .option('--output <file>', 'where to save it (default: export-ID.csv)')
      .option('--force', 'write over a file that is there');

  const create = command('create', 'ask for an export; wait for it or save it where told to');
  withGranularity(withModels(withRange(create)))
    .addOption(
      new Option('--format <format>', 'csv for sums, focus for FinOps, events for raw rows')
        .choices(exportFormats)
        .default('csv'),
    )
    .option('--wait', 'until it is made')
    .option('--output <file>', 'wait, and save it there')
    .option('--force', 'write over a file that is there');
  asksApi(waits(create));
  withExamples(create, [
    [
      'last month, day by day, saved and checked',
      'analytics exports create --start last-month --end this-month --output november.csv',
    ],
    ['raw events of an incident', 'analytics exports create --format events --start 2h --wait'],
    [
      'all orgs, for finance',
      'analytics exports create --all-orgs --granularity month --start last-month --end this-month',
    ],
  ]);
  does(create, createForm, async (options) =>
    (await import('../exports/create.ts')).createExport(options),
  );

  const list = withPages(command('list', 'exports, newest first')).addOption(
    new Option('--status <status>', 'only these').choices(exportStatuses),
  );
  does(asksApi(list), listForm, async (options) =>
    (await import('../exports/show.ts')).listExports(options),
  );

  const ofOne = (name: string, description: string) =>
    command(name, description).argument('<export>', 'its id');
  does(asksApi(ofOne('show', 'everything about one export')), placeForm, async (options, [id]) =>
    (await import('../exports/show.ts')).showExport(options, exportId(id)),
  );

  const wait = asksApi(waits(ofOne('wait', 'wait until an export is made')));
  does(wait, placeForm.extend(waitForm.shape), async (options, [id]) =>
    (await import('../exports/show.ts')).awaitExport(options, exportId(id)),
  );

  const download = asksApi(
    saves(ofOne('download', 'save the file of an export, once its SHA-256 is right')),
  );
  withExamples(download, [
    [
      'readable by its owner only, checked',
      'analytics exports download 7b0c3bd6-52f5-4c3e-9a3e-5f3f4f3c0a01 --output usage.csv',
    ],
  ]);
  does(download, placeForm.extend(saveForm.shape), async (options, [id]) =>
    (await import('../exports/download.ts')).downloadExport(options, exportId(id)),
  );
}

/** @throws UsageError: it becomes a part of paths and file names */
function exportId(text: string | undefined): string {
  const id = uuidOption.safeParse(text);
  if (id.success) return id.data;
  throw new UsageError(`${text} must be the id of an export, as list prints it`);
}
