import type * as z from 'zod';
import { orgsForm } from '../answers.ts';
import { openApi } from '../api.ts';
import { actorOf, type apiForm, type jsonForm, urlOf } from '../api-options.ts';
import { say, sayJsonText } from '../output.ts';
import { type pageForm, pageQuery, pageText } from '../page-options.ts';
import { tableText } from '../table.ts';
import { type rangeForm, rangeOf } from '../window-options.ts';
import { sumColumns } from './usage.ts';

type Options = z.output<typeof apiForm> &
  z.output<typeof jsonForm> &
  z.output<typeof rangeForm> &
  z.output<typeof pageForm>;

export async function showOrgs(options: Options): Promise<undefined> {
  const api = openApi(urlOf(options), actorOf(options));
  const query = new URLSearchParams({
    ...rangeOf(options, Date.now()),
    ...pageQuery(options),
  });
  const { value, json } = await api.ask('/orgs', orgsForm, { query });
  if (options.json) {
    sayJsonText(json);
    return;
  }
  say(
    tableText(value.items, [
      { title: 'org', cell: ({ name }) => name ?? '(no name)' },
      { title: 'id', cell: ({ orgId }) => orgId },
      ...sumColumns,
    ]),
  );
  say(`\n${pageText(value, 'orgs, dearest first')}`);
}
