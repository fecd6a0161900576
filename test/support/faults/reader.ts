import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import type { UsageEvent } from '../../../shared/events/usage-event.ts';
import { adminHeaders } from '../system.ts';

/** Somebody who looks at a dashboard all the while. */
export interface UsageReader {
  readonly answers: Readonly<{ complete: number; unavailable: number }>;
  /** What no answer may say, whatever is broken. */
  readonly problems: readonly string[];
  stop(): Promise<void>;
}

/** A question to the API about an org of the publisher's, as an admin. */
export type Ask = (route: 'usage' | 'freshness') => Promise<Response>;

const everyMs = 200;
const problemsMax = 5;
const orgId = '00000000-0000-4000-8000-000000000001';
const usageForm = z.object({ totals: z.object({ invocations: z.int() }) });
const unavailableStatus = 503;

export function askOf(app: {
  request(path: string, init: RequestInit): Response | Promise<Response>;
}): Ask {
  const dayMs = 86_400_000;
  const start = Math.floor(Date.now() / dayMs) * dayMs - dayMs;
  const [from, to] = [start, start + 3 * dayMs].map((ms) => new Date(ms).toISOString());
  const paths = { usage: `usage?start=${from}&end=${to}`, freshness: 'freshness' };
  return async (route) =>
    app.request(`/analytics/v1/orgs/${orgId}/${paths[route]}`, { headers: adminHeaders });
}

/**
 * Asks for an org's usage and freshness again and again. An answer is either a 503 or true: usage
 * counts no event twice, none that was never sent, and, unless storage `mayForget`, none less than
 * the answer before it.
 */
export function startReader(
  ask: Ask,
  offered: readonly UsageEvent[],
  mayForget: boolean,
): UsageReader {
  const answers = { complete: 0, unavailable: 0 };
  const problems: string[] = [];
  const ending = new AbortController();
  let seen = 0;
  let ofOrg = 0;
  let looked = 0;

  async function look(route: Parameters<Ask>[0]): Promise<void> {
    const response = await ask(route);
    const body: unknown = await response.json();
    if (response.status === unavailableStatus) {
      answers.unavailable += 1;
    } else if (response.status !== 200) {
      problems.push(`${route} answered ${response.status}: ${JSON.stringify(body)}`);
    } else {
      answers.complete += 1;
      if (route === 'usage') compare(usageForm.parse(body).totals.invocations);
    }
  }
  function compare(invocations: number): void {
    for (; looked < offered.length; looked += 1) if (offered[looked]?.orgId === orgId) ofOrg += 1;
    if (invocations > ofOrg) problems.push(`usage says ${invocations} events of ${ofOrg} sent`);
    if (invocations < seen && !mayForget) {
      problems.push(`usage says ${invocations} events after ${seen}`);
    }
    seen = invocations;
  }
  const looking = (async () => {
    while (!ending.signal.aborted && problems.length < problemsMax) {
      await look('usage');
      await look('freshness');
      await sleep(everyMs, undefined, { signal: ending.signal }).catch(() => {});
    }
  })();
  looking.catch((error: unknown) => problems.push(`the API threw: ${String(error)}`));

  return {
    answers,
    problems,
    stop: async () => {
      ending.abort();
      await looking.catch(() => {});
    },
  };
}
