import { randomUUID } from 'node:crypto';
import type * as z from 'zod';
import { jobForm } from '../answers.ts';
import { UsageError } from '../failure.ts';
import { readModelNames } from '../models.ts';
import { say, sayJsonText } from '../output.ts';
import { printable } from '../printable.ts';
import {
  type granularityForm,
  type modelsForm,
  type rangeForm,
  rangeOf,
} from '../window-options.ts';
import { downloadExport, type SaveOptions } from './download.ts';
import { type ExportsOptions, placeOf } from './place.ts';
import { refuseTaken } from './save-file.ts';
import { waitForExport } from './wait.ts';

interface CreateOptions
  extends ExportsOptions,
    SaveOptions,
    z.output<typeof rangeForm>,
    z.output<typeof modelsForm>,
    z.output<typeof granularityForm> {
  format: string;
  wait: boolean;
  timeout: number;
}

const granularityNames = { hour: 'hourly', day: 'daily', month: 'monthly' } as const;

/** Asks for an export; with `wait` until it is there, with `output` until it is saved. */
export async function createExport(options: CreateOptions): Promise<undefined> {
  const place = placeOf(options);
  // Better known before an export is made for it.
  if (options.output !== undefined) await refuseTaken(options.output, options.force);
  const { api, path, orgId } = place;
  const { granularity, timezone, format, model, timeout: timeoutMs } = options;
  if (orgId === null && model.some((one) => !/^[0-9a-f-]{36}$/i.test(one))) {
    throw new UsageError('--model must be an id with --all-orgs');
  }
  const models =
    model.length === 0 || orgId === null ? model : (await readModelNames(api, orgId)).idsOf(model);
  const body = JSON.stringify({
    timeRange: rangeOf(options, Date.now()),
    granularity: granularityNames[granularity],
    timezone,
    format,
    ...(models.length === 0 ? {} : { models }),
  });
  // A request that is sent again must not make a second export.
  const headers = { 'Idempotency-Key': randomUUID() };
  const created = await api.ask(path, jobForm, { method: 'POST', headers, body });
  const { jobId, status } = created.value;
  if (options.output !== undefined) {
    await waitForExport(place, jobId, timeoutMs);
    return downloadExport(options, jobId);
  }
  const told = options.wait ? await waitForExport(place, jobId, timeoutMs) : created;
  if (options.json) {
    sayJsonText(told.json);
    return;
  }
  say(printable(`${jobId} ${options.wait ? told.value.status : status}`));
}
