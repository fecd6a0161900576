import { expect } from 'vitest';
import { jsonPost } from './event-json.ts';
import { midnight } from './midnight.ts';
import { adminHeaders, type System } from './system.ts';

/** Asks for an export of an org's yesterday, by the API. */
export async function orderExport({ app }: Pick<System, 'app'>, orgId: string): Promise<void> {
  const request = { timeRange: { start: midnight(1), end: midnight(0) } };
  const response = await app.request(
    `/analytics/v1/orgs/${orgId}/exports`,
    jsonPost(request, adminHeaders),
  );
  expect(response.status).toBe(202);
}
