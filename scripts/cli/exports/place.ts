import { type Api, openApi } from '../api.ts';
import { actorOf, requireOrg, urlOf } from '../api-options.ts';
import type { OrgOptions } from '../org-api.ts';

export type ExportsOptions = OrgOptions & { allOrgs: boolean };

/** Where exports are: those of an org, or those over all. */
export interface ExportsPlace {
  api: Api;
  /** Below /analytics/v1. */
  path: string;
  /** Null over all orgs. */
  orgId: string | null;
}

/** @throws UsageError where neither an org nor all of them were named */
export function placeOf(options: ExportsOptions): ExportsPlace {
  const orgId = options.allOrgs ? null : requireOrg(options);
  const api = openApi(urlOf(options), actorOf(options));
  return { api, path: orgId === null ? '/exports' : `/orgs/${orgId}/exports`, orgId };
}
