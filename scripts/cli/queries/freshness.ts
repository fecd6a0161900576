import type { z } from 'zod';
import { freshnessAnswer } from '../../../functions/status/openapi.ts';
import { openApi } from '../api.ts';
import {
  actorOf,
  type apiForm,
  type jsonForm,
  type orgForm,
  requireOrg,
  urlOf,
} from '../api-options.ts';
import { readModelNames } from '../models.ts';
import { say, sayJsonText } from '../output.ts';
import { printable } from '../printable.ts';
import { tableText } from '../table.ts';
import { freshnessText } from './series.ts';

type Options = z.output<typeof apiForm> & z.output<typeof orgForm> & z.output<typeof jsonForm>;

export async function showFreshness(options: Options): Promise<undefined> {
  const orgId = requireOrg(options);
  const api = openApi(urlOf(options), actorOf(options));
  const [{ value, json }, { nameOf }] = await Promise.all([
    api.ask(`/orgs/${orgId}/freshness`, freshnessAnswer),
    readModelNames(api, orgId),
  ]);
  if (options.json) {
    sayJsonText(json);
    return;
  }
  say(
    tableText(value.entries, [
      { title: 'model', cell: ({ modelId }) => nameOf(modelId) },
      { title: 'status', cell: ({ status }) => status },
      { title: 'lag (s)', align: 'right', cell: ({ lagSeconds }) => lagSeconds },
      { title: 'last event', cell: ({ lastEventAt }) => lastEventAt },
      { title: 'last rollup', cell: ({ lastRollupAt }) => lastRollupAt },
    ]),
  );
  say(`\n${printable(freshnessText(value))}`);
}
