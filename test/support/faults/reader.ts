import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { UsageEvent } from '../../../shared/usage-event.ts';
import { adminHeaders } from '../system.ts';

/** Somebody who looks at a dashboard all the while. */
export interface UsageReader {
  readonly answers: Readonly<{ complete: number; unavailable: number }>;
  /** What no answer may say, whatever is broken. */
  readonly problems: readonly string[];
  stop(): Promise<void>;
}

type Ask = (path: string) => Promise<Response>;

const everyMs = 200;
const problemsMax = 5;
const orgId = '00000000-0000-4000-8000-000000000001';
const usageForm = z.object({ totals: z.object({ invocations: z.int() }) });
const unavailableStatus = 503;

/**
 * Asks for an org's usage again and again: an answer is either a 503 or true, which is to say that
 * it counts no event twice, none that was never sent, and none less than the answer before it.
 */
export function startReader(
  app: { request(path: string, init: RequestInit): Response | Promise<Response> },
  offered: readonly UsageEvent[],
): UsageReader {
  const answers = { complete: 0, unavailable: 0 };
  const problems: string[] = [];
  const ending = new AbortController();
  const dayMs = 86_400_000;
  const start = new Date(Math.floor(Date.now() / dayMs) * dayMs - dayMs).toISOString();
  const end = new Date(Date.parse(start) + 3 * dayMs).toISOString();
  const path = `/analytics/v1/orgs/${orgId}/usage?start=${start}&end=${end}`;
  const ask: Ask = async (asked) => app.request(asked, { headers: adminHeaders });
  let seen = 0;
  let ofOrg = 0;
  let looked = 0;

  async function look(): Promise<void> {
    const response = await ask(path);
    if (response.status === unavailableStatus) {
      answers.unavailable += 1;
      return;
    }
    const body: unknown = await response.json();
    if (response.status !== 200) {
      problems.push(`the usage API answered ${response.status}: ${JSON.stringify(body)}`);
      return;
    }
    answers.complete += 1;
    const { invocations } = usageForm.parse(body).totals;
    for (; looked < offered.length; looked += 1) if (offered[looked]?.orgId === orgId) ofOrg += 1;
    if (invocations > ofOrg) problems.push(`usage says ${invocations} events of ${ofOrg} sent`);
    if (invocations < seen) problems.push(`usage says ${invocations} events after ${seen}`);
    seen = invocations;
  }
  const looking = (async () => {
    while (!ending.signal.aborted && problems.length < problemsMax) {
      await look();
      await sleep(everyMs, undefined, { signal: ending.signal }).catch(() => {});
    }
  })();
  looking.catch((error: unknown) => problems.push(`the usage API threw: ${String(error)}`));

  return {
    answers,
    problems,
    stop: async () => {
      ending.abort();
      await looking.catch(() => {});
    },
  };
}
