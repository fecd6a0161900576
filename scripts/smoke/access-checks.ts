import * as z from 'zod';
import { tenantOf } from '../cli/actor.ts';
import { type Answer, readJson, unexpected } from './answer.ts';
import { type Seen, SkipCheck } from './check.ts';
import type { SmokeContext } from './context.ts';
import { strangerOrgId } from './events.ts';

/** @param allowRbacOff for a service whose checks are meant to be off */
export async function refuseNobody(
  { api, plan: { orgId, window } }: SmokeContext,
  allowRbacOff: boolean,
): Promise<Seen<null>> {
  const path = `/orgs/${orgId}/usage?${new URLSearchParams(window)}`;
  const answer = await api.ask(path, { as: null });
  if (answer.status === 200) {
    if (allowRbacOff) throw new SkipCheck('RBAC is off, which --allow-rbac-off permits');
    throw unexpected(answer, '401', {
      came: '200, without anyone being named',
      section: 'access',
      hint: 'ENABLE_RBAC=true for the service, or --allow-rbac-off where that is meant',
    });
  }
  return { seen: refusal(answer, 401), value: null };
}

/** Another tenant may not read the org's numbers; whoever has a token, not those of another org. */
export async function refuseStranger({ api, as, plan }: SmokeContext): Promise<Seen<null>> {
  const stranger = tenantOf(strangerOrgId, as);
  const orgId = stranger === null ? strangerOrgId : plan.orgId;
  const window = new URLSearchParams(plan.window);
  const path = `/orgs/${orgId}/usage?${window}`;
  const answer = await api.ask(path, { as: stranger ?? as });
  if (stranger === null && answer.status === 200) {
    const everyOrg = await api.ask(`/orgs?${window}`, { as });
    if (everyOrg.status === 200) {
      throw new SkipCheck('the token is that of an admin, who may read every org');
    }
  }
  return { seen: refusal(answer, 403), value: null };
}

const problemForm = z.object({ detail: z.string() });

/** What a refusal says, once it is one in the API's own form. */
function refusal(answer: Answer, status: number): string {
  const { detail } = readJson(answer, status, problemForm);
  const type = answer.headers.get('Content-Type') ?? 'of no type';
  if (type.startsWith('application/problem+json')) return `${status}: ${detail}`;
  throw unexpected(answer, `${status} as application/problem+json`, { came: `it as ${type}` });
}
