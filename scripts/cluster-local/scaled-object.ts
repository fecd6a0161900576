import pg from 'pg';
import { messageOf } from '../../shared/platform/errors.ts';
import type { OnEvent } from './cluster-event.ts';
import type { References } from './container-env.ts';
import type { ScaledObject, TriggerAuthentication } from './manifests.ts';
import type { PlatformClock } from './platform-clock.ts';
import { type Reading, replicaCounter } from './replica-count.ts';
import type { ReplicaSet } from './replica-set.ts';

const answerMaxMs = 5_000;

/**
 * What KEDA does for a scaled object: asks its query of the database every polling interval and
 * starts and stops pods by the answer.
 *
 * @param connection the database's URL, as the TriggerAuthentication has it
 * @returns how to stop asking; the pods stay
 */
export function startScaling(
  scaledObject: ScaledObject,
  connection: string,
  target: ReplicaSet,
  { clock, onEvent }: { clock: PlatformClock; onEvent: OnEvent },
): () => Promise<void> {
  const { spec } = scaledObject;
  const { metadata } = spec.triggers.postgresql;
  const countAfter = replicaCounter(scaledObject);
  const stopping = new AbortController();
  const { signal } = stopping;
  let count = 0;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const reading = await ask(connection, metadata.query);
      const next = countAfter(reading, count, clock.nowMs());
      if (next !== count) {
        const why = 'fault' in reading ? reading.fault : `the query gives ${reading.value}`;
        onEvent({ kind: 'scale', workload: target.name, replicas: next, detail: why });
      }
      count = next;
      target.scale(count);
      await clock.sleep(spec.pollingInterval * 1_000, signal);
    }
  }
  const running = run();

  return async () => {
    stopping.abort();
    await running;
  };
}

async function ask(connection: string, query: string): Promise<Reading> {
  const client = new pg.Client({
    connectionString: connection,
    connectionTimeoutMillis: answerMaxMs,
    statement_timeout: answerMaxMs,
  });
  // A connection that breaks between two questions is found out by the next.
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<unknown[]>({ text: query, rowMode: 'array' });
    const value = Number(rows[0]?.[0] ?? Number.NaN);
    return Number.isFinite(value) ? { value } : { fault: 'the query gives no number' };
  } catch (error) {
    return { fault: messageOf(error) };
  } finally {
    await client.end().catch(() => {});
  }
}

/**
 * The connection that a scaled object's trigger is given.
 *
 * @throws Error when its TriggerAuthentication, or the Secret behind it, is not there.
 */
export function connectionOf(
  { metadata: { name }, spec }: ScaledObject,
  authentications: readonly TriggerAuthentication[],
  secrets: References['secrets'],
): string {
  const wanted = spec.triggers.postgresql.authenticationRef.name;
  const authentication = authentications.find(({ metadata }) => metadata.name === wanted);
  const target = authentication?.spec.secretTargetRef.find(
    ({ parameter }) => parameter === 'connection',
  );
  const connection = target === undefined ? undefined : secrets[target.name]?.[target.key];
  if (connection !== undefined) return connection;
  throw new Error(
    `ScaledObject ${name}: TriggerAuthentication ${wanted} gives no connection: it must take one from a Secret that is there`,
  );
}
