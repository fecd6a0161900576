import type * as z from 'zod';
import { type Api, openApi } from './api.ts';
import {
  actorOf,
  type apiForm,
  type jsonForm,
  type orgForm,
  requireOrg,
  urlOf,
} from './api-options.ts';

/** Options of a command that asks the API about an org. */
export type OrgOptions = z.output<typeof apiForm> &
  z.output<typeof orgForm> &
  z.output<typeof jsonForm>;

/** @throws UsageError when no org was named */
export function orgApiOf(options: OrgOptions): { api: Api; orgId: string } {
  const orgId = requireOrg(options);
  return { api: openApi(urlOf(options), actorOf(options)), orgId };
}
