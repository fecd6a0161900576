import type { UsageEvent } from '../../../shared/events/usage-event.ts';
import { connectBroker } from '../../../shared/platform/broker/stream.ts';
import { streamPartitions } from '../../../shared/platform/env.ts';
import { messageOf } from '../../../shared/platform/errors.ts';
import { rollupDifferences, storageDifferences } from '../recount.ts';
import { until } from '../until.ts';
import { distinctEvents } from '../usage-events.ts';
import type { FaultRun } from './fault-test.ts';

/** What is expected beside the publisher's events. */
export interface Expected {
  /** Messages that are no valid events. */
  rejected: number;
  /** Loss cannot be avoided: no more may be missing than the service counts as lost. */
  mayLose: boolean;
  /** Events that the fault itself sent. */
  others: UsageEvent[];
}

type Run = Pick<FaultRun, 'database' | 'urls' | 'settings' | 'expected'>;

/**
 * Waits until nobody has anything left to do, and compares what is there with what was sent.
 *
 * @returns what does not hold, each in words
 */
export async function problemsOf(
  run: Run,
  sent: readonly UsageEvent[],
  settleMaxMs: number,
): Promise<string[]> {
  const problems: string[] = [];
  const settles = async (what: string, ask: () => Promise<boolean>) => {
    const rest = { timeoutMs: settleMaxMs, everyMs: 100 };
    await until(what, ask, rest).catch((error: unknown) => problems.push(messageOf(error)));
  };
  await settles('every stream is read to its head', () => isRead(run));
  await settles('every stream is held by a consumer', () => isHeld(run));
  await settles('everything stored is folded', () => isFolded(run));
  await settles('completeness has reached the end', () => isComplete(run));

  const { missing, surplus } = await storageDifferences(run.database, distinctEvents(sent));
  const { rejected, lost } = await totals(run);
  const missingMax = run.expected.mayLose ? lost : 0;
  if (missing.length > missingMax) {
    problems.push(`${missing.length} events are missing, ${lost} are counted as lost`);
  }
  // Of what is lost some was sent twice, or again.
  if (run.expected.mayLose && lost > missing.length * 1.1 + 100) {
    problems.push(`${lost} are counted as lost, but only ${missing.length} events are missing`);
  }
  if (!run.expected.mayLose && lost > 0) problems.push(`${lost} messages are counted as lost`);
  if (surplus.length > 0) problems.push(`${surplus.length} rows are stored that nobody sent`);
  if (rejected !== run.expected.rejected) {
    problems.push(`${rejected} messages were rejected, not ${run.expected.rejected}`);
  }
  const drift = await rollupDifferences(run.database);
  if (drift.length > 0) problems.push(`rollups are not a recount: ${JSON.stringify(drift[0])}`);
  return problems;
}

async function isRead({ urls, settings, database }: Run): Promise<boolean> {
  const broker = await connectBroker(urls.rabbitmq);
  try {
    for (const stream of streamPartitions(settings)) {
      const head = await broker.head(stream);
      const [row] = await database.query<{ committed: number | null }>(
        'select committed_offset as committed from analytics.stream_offsets where stream = $1',
        [stream],
      );
      if (head !== null && row?.committed !== head) return false;
    }
    return true;
  } finally {
    await broker.close();
  }
}

async function isHeld({ settings, database }: Run): Promise<boolean> {
  const streams = streamPartitions(settings);
  const held = await database.query(
    `select from analytics.stream_offsets
     where stream = any($1) and owner is not null and lease_expires_at > clock_timestamp()`,
    [streams],
  );
  return held.length === streams.length;
}

async function isFolded({ database }: Run): Promise<boolean> {
  const waiting = await database.query(
    'select from analytics.ingestion_batches where folded_at is null limit 1',
  );
  return waiting.length === 0;
}

/** Of a stream that has been read, the last probe found nothing more. */
async function isComplete({ settings, database }: Run): Promise<boolean> {
  const behind = await database.query(
    `select from analytics.stream_offsets
     where stream = any($1)
       and (complete_through is null or complete_through < committed_at)`,
    [streamPartitions(settings)],
  );
  return behind.length === 0;
}

async function totals({ database }: Run): Promise<{ rejected: number; lost: number }> {
  const [row] = await database.query<{ rejected: number; lost: number }>(
    `select coalesce(sum(events_rejected), 0)::float8 as rejected,
            coalesce(sum(messages_lost), 0)::float8 as lost
     from analytics.stream_offsets`,
  );
  return row ?? { rejected: 0, lost: 0 };
}
