import { type Config, modelsAnswer, orgsAnswer } from './answers.ts';
import { ask, pathTo } from './api.ts';
import { instantText } from './range.ts';

export interface Org {
  id: string;
  name: string | null;
}

/** So many are asked for their names one by one. */
const namedMax = 24;
const listedDays = 30;
const dayMs = 86_400_000;

/** The orgs that an actor may look at: its own, or for an admin all, those who spend most first. */
export async function orgsOf(config: Config, signal: AbortSignal): Promise<Org[]> {
  const { actor, isRbacOn } = config;
  if (!isRbacOn || actor?.roles.includes('admin')) {
    const nowMs = Date.now();
    const query = [
      ['start', instantText(nowMs - listedDays * dayMs)],
      ['end', instantText(nowMs)],
      ['limit', '500'],
    ] as const;
    const { items } = await ask({ path: '/orgs', query }, orgsAnswer, signal);
    return items.map(({ orgId, name }) => ({ id: orgId, name }));
  }
  const ids = actor?.orgs ?? [];
  const named = await Promise.all(ids.slice(0, namedMax).map((id) => nameOf(id, signal)));
  return ids.map((id, index) => ({ id, name: named[index] ?? null }));
}

async function nameOf(id: string, signal: AbortSignal): Promise<string | null> {
  try {
    const { orgName } = await ask({ path: pathTo`/orgs/${id}/models` }, modelsAnswer, signal);
    return orgName;
  } catch {
    // The id will do.
    return null;
  }
}
