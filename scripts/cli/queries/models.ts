import type { z } from 'zod';
import { openApi } from '../api.ts';
import {
  actorOf,
  type apiForm,
  type jsonForm,
  type orgForm,
  requireOrg,
  urlOf,
} from '../api-options.ts';
import { readModels } from '../models.ts';
import { say, sayJsonText } from '../output.ts';
import { tableText } from '../table.ts';

type Options = z.output<typeof apiForm> & z.output<typeof orgForm> & z.output<typeof jsonForm>;

export async function showModels(options: Options): Promise<undefined> {
  const api = openApi(urlOf(options), actorOf(options));
  const { value, json } = await readModels(api, requireOrg(options));
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
