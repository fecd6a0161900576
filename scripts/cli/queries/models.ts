import { readModels } from '../models.ts';
import { type OrgOptions, orgApiOf } from '../org-api.ts';
import { say, sayJsonText } from '../output.ts';
import { tableText } from '../table.ts';

export async function showModels(options: OrgOptions): Promise<undefined> {
  const { api, orgId } = orgApiOf(options);
  const { value, json } = await readModels(api, orgId);
  if (options.json) {
    sayJsonText(json);
    return;
  }
  say(
    tableText(value.models, [
      { title: 'model', cell: ({ name }) => name ?? '(no name)' },
      { title: 'id', cell: ({ modelId }) => modelId },
      { title: 'first event', cell: ({ firstEventAt }) => firstEventAt },
      { title: 'last event', cell: ({ lastEventAt }) => lastEventAt },
    ]),
  );
}
