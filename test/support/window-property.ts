import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { eventStorage } from '../../shared/events/event-storage.ts';
import { ingest } from '../../shared/events/ingest.ts';
import type { UsageEvent } from '../../shared/events/usage-event.ts';
import type { Database } from '../../shared/platform/database/db.ts';
import { foldAll } from '../../shared/rollups/rollup.ts';
import type { System } from './system.ts';
import { distinctEvents } from './usage-events.ts';
import { askReliability, askUsage, expectReliability, expectUsage } from './window-answer.ts';
import { type Delivery, eventLists, histories, questions } from './window-arbitraries.ts';
import { plainAnswer, type Question } from './window-recount.ts';

/** Stores a batch as the consumer does. */
export function batchStore(database: Database): (events: readonly UsageEvent[]) => Promise<void> {
  const storage = eventStorage(database);
  return async (events) => {
    await storage.ensureDays(events.map(({ occurredAtMs }) => occurredAtMs));
    await ingest(database, { stream: 'test', events, rejected: 0, position: null });
  };
}

/**
 * Delivers random events in a random history and compares every answer with a plain recount of the
 * distinct ones, before and after the last fold. Each run has an org of its own.
 *
 * @returns how many of the answers had events in them
 * @throws Error with the smallest failing run and its seed.
 */
export async function checkRandomWindows(
  system: System,
  database: Database,
  runs: number,
): Promise<number> {
  const nowMs = Date.now();
  const store = batchStore(database);
  let withEvents = 0;
  await fc.assert(
    fc.asyncProperty(
      eventLists(nowMs),
      histories,
      fc.array(questions(nowMs), { minLength: 3, maxLength: 3 }),
      async (list, history, asked) => {
        const orgId = randomUUID();
        const events = list.map((event) => ({ ...event, orgId }));
        const arrived: UsageEvent[] = [];
        for (const step of history) {
          if (step === 'fold') {
            await foldAll(database);
            continue;
          }
          const batch = step.flatMap((delivery) => deliver(delivery, events));
          arrived.push(...batch);
          await store(batch);
        }
        const stored = distinctEvents(arrived);
        const own = asked.map((question) => ({ ...question, orgId }));
        for (const question of own) withEvents += await expectAnswers(system, stored, question);
        await foldAll(database);
        for (const question of own) withEvents += await expectAnswers(system, stored, question);
      },
    ),
    { numRuns: runs },
  );
  return withEvents;
}

/** An event, or another payload under the same key. */
function deliver({ index, isAltered }: Delivery, events: readonly UsageEvent[]): UsageEvent[] {
  const event = events[index % events.length];
  if (event === undefined) return [];
  return isAltered ? [{ ...event, latencyMs: event.latencyMs + 1, clientId: 'web' }] : [event];
}

/** Asks both routes, and gives 1 where the answer had events in it. */
export async function expectAnswers(
  system: System,
  stored: readonly UsageEvent[],
  question: Question,
): Promise<number> {
  const plain = plainAnswer(stored, question);
  const [usage, reliability] = await Promise.all([
    askUsage(system, question),
    askReliability(system, question),
  ]);
  expectUsage(usage, plain);
  expectReliability(reliability, plain);
  return plain.totals.invocations > 0 ? 1 : 0;
}
