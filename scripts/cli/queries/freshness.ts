import { freshnessAnswer } from '../../../functions/status/openapi.ts';
import { readModelNames } from '../models.ts';
import { type OrgOptions, orgApiOf } from '../org-api.ts';
import { say, sayJsonText } from '../output.ts';
import { printable } from '../printable.ts';
import { tableText } from '../table.ts';
import { freshnessText } from './series.ts';

export async function showFreshness(options: OrgOptions): Promise<undefined> {
  const { api, orgId } = orgApiOf(options);
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
