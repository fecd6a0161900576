import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from '../shared/decimal-json.ts';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import {
  type Database,
  openDatabase,
  type Queryable,
  type Transaction,
} from '../shared/platform/database/db.ts';
import { reliabilityQuery } from '../shared/queries/reliability-query.ts';
import { planWindow } from '../shared/queries/time-window.ts';
import { usageQuery } from '../shared/queries/usage-query.ts';
import { pendingBatches } from '../shared/rollups/pending-batches.ts';
import { fold } from '../shared/rollups/rollup.ts';
import { Random } from './support/random.ts';
import { type System, startSystem } from './support/system.ts';
import { asReplies, expectReliability, expectUsage } from './support/window-answer.ts';
import { eventLists, questions } from './support/window-arbitraries.ts';
import { batchStore, checkRandomWindows, expectAnswers } from './support/window-property.ts';
import { plainAnswer, type Question } from './support/window-recount.ts';

const nowMs = Date.now();

let system: System;
let database: Database;
let store: (events: readonly UsageEvent[]) => Promise<void>;

beforeAll(async () => {
  system = await startSystem({ stream: false });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
  store = batchStore(database);
});
afterAll(async () => {
  await database.close();
  await system.close();
});

test('any window is the plain recount of distinct events, before and after folding', {
  timeout: 120_000,
}, async () => {
  const runs = 60;
  const withEvents = await checkRandomWindows(system, database, runs);
  // Windows without events would prove little.
  expect(withEvents).toBeGreaterThan(runs);
});

const randomEvents = (orgId: string, lists: number, seed: number): UsageEvent[] =>
  fc
    .sample(eventLists(nowMs), { numRuns: lists, seed })
    .flat()
    .map((event) => ({ ...event, orgId }));
const randomQuestions = (orgId: string, count: number): Question[] =>
  fc
    .sample(questions(nowMs), { numRuns: count, seed: 17 })
    .map((question) => ({ ...question, orgId }));

/** Runs `work` beside tasks that go round until it is done; gives the rounds of each. */
async function beside(
  tasks: readonly (() => Promise<unknown>)[],
  work: () => Promise<void>,
): Promise<number[]> {
  let isWorking = true;
  const rounds = tasks.map(async (task) => {
    let count = 0;
    for (; isWorking; count += 1) {
      await task();
      // Lets the others have the processor too, which is one at times.
      await sleep(1);
    }
    return count;
  });
  try {
    await work();
  } finally {
    isWorking = false;
  }
  return Promise.all(rounds);
}

/** Batches from some events, on and on: half of each is new, the rest is stored already or twice. */
function ingester(events: readonly UsageEvent[]): () => Promise<void> {
  const random = new Random(events.length);
  const known = [...events];
  return async () => {
    const fresh = Array.from({ length: 8 }, () => ({
      ...random.pick(events),
      eventId: randomUUID(),
    }));
    known.push(...fresh);
    const repeated = Array.from({ length: 8 }, () => random.pick(known));
    await store(random.shuffled([...fresh, ...repeated]));
  };
}

test('while folds and ingests run, an answer is the recount of raw rows in its own snapshot', {
  timeout: 120_000,
}, async () => {
  const orgId = randomUUID();
  let [withPending, withRollups] = [0, 0];
  const ask = async (snapshot: Transaction, question: Question) => {
    const pending = await pendingBatches(snapshot);
    const plan = planWindow(question);
    const { groupBy } = question;
    const replies = asReplies(
      stringify(await usageQuery(snapshot, plan, pending, question, groupBy)),
      stringify(await reliabilityQuery(snapshot, plan, pending, question, groupBy)),
    );
    const [folded] = await snapshot.query('select from analytics.usage_hourly where org_id = $1', [
      orgId,
    ]);
    if (pending.ids.length > 0) withPending += 1;
    if (folded !== undefined) withRollups += 1;
    const plain = plainAnswer(await rawEvents(snapshot, orgId), question);
    expectUsage(replies.usage, plain);
    expectReliability(replies.reliability, plain);
  };
  const events = randomEvents(orgId, 20, 3);
  const asked = randomQuestions(orgId, 300);
  const [folds] = await beside(
    [() => fold(database), ingester(events), ingester(events.toReversed())],
    async () => {
      for (const question of asked) {
        await database.transaction({ mode: 'snapshot' }, (snapshot) => ask(snapshot, question));
      }
    },
  );
  expect(folds).toBeGreaterThan(20);
  expect(withPending).toBeGreaterThan(20);
  expect(withRollups).toBeGreaterThan(20);
});

async function rawEvents(snapshot: Queryable, orgId: string): Promise<UsageEvent[]> {
  return snapshot.query<UsageEvent>(
    `select event_id as "eventId", org_id as "orgId", model_id as "modelId",
            client_id as "clientId", (extract(epoch from occurred_at) * 1000)::float8
              as "occurredAtMs",
            latency_ms as "latencyMs", status, error_code as "errorCode",
            input_tokens as "inputTokens", output_tokens as "outputTokens",
            cost_estimate_cents::text as "costEstimateCents"
     from analytics.usage_events where org_id = $1`,
    [orgId],
  );
}

test('while folds and ingests of others run, the API counts what was stored before it was asked', {
  timeout: 120_000,
}, async () => {
  const orgId = randomUUID();
  const events = randomEvents(orgId, 60, 5);
  const asked = randomQuestions(orgId, events.length);
  const stored: UsageEvent[] = [];
  let withEvents = 0;
  const [folds] = await beside(
    [() => fold(database), ingester(randomEvents(randomUUID(), 10, 6))],
    async () => {
      for (let start = 0; start < events.length; start += 4) {
        const batch = events.slice(start, start + 4);
        await store(batch);
        stored.push(...batch);
        const answers = asked
          .slice(start, start + 4)
          .map((question) => expectAnswers(system, stored, question));
        for (const answer of await Promise.all(answers)) withEvents += answer;
      }
    },
  );
  expect(folds).toBeGreaterThan(20);
  expect(withEvents).toBeGreaterThan(20);
});
