import { createHash } from 'node:crypto';
import { connect } from 'amqplib';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import * as z from 'zod';
import type { Actor } from '../scripts/cli/actor.ts';
import { sampleModels, sampleOrgs } from '../scripts/sample-events.ts';
import { type SeedOptions, seed } from '../scripts/seed/run.ts';
import { mismatches, summaryOf } from '../scripts/seed/summary.ts';
import { deadLetterQueueOf } from '../shared/dead-letters/dead-letters.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { services } from './support/services.ts';
import { type System, startSystem } from './support/system.ts';

/** As few as keep the two orgs apart. */
const partitions = 2;
const nobody = 'http://127.0.0.1:2';
const actor: Actor = {
  kind: 'gateway',
  subject: 'seed',
  roles: ['admin'],
  orgs: [],
  secret: null,
};
const usageForm = z.object({
  series: z.array(z.object({ modelId: z.string() })),
  totals: z.object({ invocations: z.number(), errors: z.number() }),
});

async function partitionsRead(system: System): Promise<number> {
  const metrics = await (await system.app.request('/metrics')).text();
  return metrics.match(/^analytics_ingestion_lag_messages\{/gm)?.length ?? 0;
}

/** Events stored from each partition, by its number. */
async function storedByPartition(system: System): Promise<number[]> {
  const client = new pg.Client({ connectionString: system.settings.DATABASE_URL });
  await client.connect();
  try {
    const { rows } = await client.query<{ stored: string }>(
      'select events_stored as stored from analytics.stream_offsets order by stream',
    );
    return rows.map(({ stored }) => Number(stored));
  } finally {
    await client.end();
  }
}

/** The routing that any producer follows: SHA-256 of the org, its first four bytes, modulo. */
function partitionNumber(org: string): number {
  return createHash('sha256').update(org).digest().readUInt32BE(0) % partitions;
}

/** What the API has of both orgs. */
async function totals(system: System) {
  const day = (ms: number) => `${new Date(ms).toISOString().slice(0, 10)}T00:00:00Z`;
  const window = `start=${day(Date.now() - 10 * 86_400_000)}&end=${day(Date.now() + 86_400_000)}`;
  const answers = await Promise.all(
    sampleOrgs.map(async (org) => {
      const { body } = await system.get(`/analytics/v1/orgs/${org}/usage?${window}`);
      return usageForm.parse(body);
    }),
  );
  return {
    perOrg: answers.map(({ totals: { invocations } }) => invocations),
    errors: answers.reduce((all, { totals: { errors } }) => all + errors, 0),
    models: new Set(answers.flatMap(({ series }) => series.map(({ modelId }) => modelId))),
  };
}

describe.each(['stream', 'http'] as const)('a seed by %s', (to) => {
  const environment = { RABBITMQ_STREAM_PARTITIONS: String(partitions) };
  const nowMs = Date.now();
  let system: System;
  let server: Server;
  let options: SeedOptions;

  beforeAll(async () => {
    system = await startSystem({ environment });
    server = await serve(system.app, { HTTP_PORT: 0 }, '127.0.0.1');
    const url = `http://127.0.0.1:${server.port}`;
    options = { to, url, actor, events: 500, waitMs: 30_000 };
    // Until the consumer has declared all partitions, a POST may be taken for one alone, answered
    // 503, and sent again: more duplicates than planned.
    await vi.waitFor(async () => expect(await partitionsRead(system)).toBe(partitions), 20_000);
  });
  afterAll(async () => {
    await server.close();
    await system.close();
  });

  test('is stored, deduplicated, rejected and folded as planned', async () => {
    const report = await seed(options, system.settings, nowMs);
    const { plan } = report;
    expect(plan).toMatchObject({ distinct: 500, late: 25, repeated: 10 });
    expect(report.refused).toBe(to === 'http' ? plan.invalid : 0);
    expect(report.counted).toEqual({
      counts: {
        stored: 500,
        duplicate: 10,
        rejected: plan.invalid,
      },
      from: `${options.url}/metrics`,
      isComplete: true,
    });
    expect(report.refreshed).toBe(`by ${options.url}/internal/refresh`);
    expect(mismatches(report)).toEqual([]);
    expect(summaryOf(report)).toContain('match: the service counted what was sent');

    const { perOrg, errors, models } = await totals(system);
    expect(perOrg.reduce((all, one) => all + one, 0)).toBe(500);
    expect(Math.min(...perOrg)).toBeGreaterThan(0);
    const expected = Array.from({ length: partitions }, (_, number) =>
      sampleOrgs.reduce(
        (all, org, index) => all + (partitionNumber(org) === number ? (perOrg[index] ?? 0) : 0),
        0,
      ),
    );
    expect(await storedByPartition(system)).toEqual(expected);
    expect(errors).toBe(plan.errors);
    expect(models).toEqual(new Set(sampleModels.map(({ modelId }) => modelId)));
    const metrics = await (await system.app.request('/metrics')).text();
    expect(metrics).toMatch(/^analytics_rollup_pending_batches 0$/m);
  });

  test('a second time within the hour is shown as duplicates, and matches', async () => {
    const before = await totals(system);
    const report = await seed(options, system.settings, nowMs);
    expect(report.counted).toMatchObject({ counts: { stored: 0, duplicate: 510 } });
    expect(mismatches(report)).toEqual([]);
    expect(summaryOf(report)).toContain('match: all of them were stored before, nothing added');
    expect(await totals(system)).toEqual(before);
  });
});

describe('a seed without an API', () => {
  let system: System | undefined;
  afterEach(() => system?.close());

  test('is counted and folded on the database', async () => {
    system = await startSystem();
    const options: SeedOptions = { to: 'stream', url: nobody, actor, events: 100, waitMs: 30_000 };
    const report = await seed(options, system.settings, Date.now());
    expect(report).toMatchObject({
      counted: { counts: { stored: 100 }, from: 'the database', isComplete: true },
      refreshed: 'in this process, on the database',
    });
    expect(mismatches(report)).toEqual([]);
  });

  test('that nobody consumes does not match', async () => {
    system = await startSystem();
    // Events go to a stream that the system's consumer does not read.
    const settings = {
      ...system.settings,
      RABBITMQ_STREAM: `${system.settings.RABBITMQ_STREAM}.x`,
    };
    const options: SeedOptions = { to: 'stream', url: nobody, actor, events: 100, waitMs: 500 };
    const report = await seed(options, settings, Date.now());
    await deleteQueues([settings.RABBITMQ_STREAM, deadLetterQueueOf(settings)]);
    expect(mismatches(report)).toEqual([
      expect.stringMatching(/^102 valid events were sent, 0 stored or duplicate$/),
      expect.stringMatching(/^\d+ invalid events were sent, 0 rejected$/),
      expect.stringContaining('is the consumer running'),
    ]);
  });
});

async function deleteQueues(queues: readonly string[]): Promise<void> {
  const connection = await connect(services().RABBITMQ_URL);
  const channel = await connection.createChannel();
  for (const queue of queues) await channel.deleteQueue(queue);
  await connection.close();
}
