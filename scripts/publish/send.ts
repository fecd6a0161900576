import { setTimeout as sleep } from 'node:timers/promises';
import type { Outgoing, Refusal, Target } from './outgoing.ts';

export interface SendReport {
  /** Events handed over, the refused among them. */
  sent: number;
  refused: number;
  /** Of the sent, those that may have arrived twice. */
  repeated: number;
}

export interface SendHooks {
  onSent?: (count: number) => void;
  onRefused?: (refusal: Refusal) => void;
}

/** The API's limits: 1,000 events and, with room for the array around them, 4 MiB. */
const batchMax = { events: 1_000, bytes: 3_500_000 };
const napMaxMs = 3_600_000;

/**
 * Sends events in order, a batch at a time: the next is taken from the source only once the last is
 * confirmed, so that a file of any size needs the memory of one batch. An event with a due time
 * goes out then, never before.
 */
export async function sendAll(
  target: Target,
  events: AsyncIterable<Outgoing> | Iterable<Outgoing>,
  { onSent = () => {}, onRefused = () => {} }: SendHooks = {},
): Promise<SendReport> {
  const report: SendReport = { sent: 0, refused: 0, repeated: 0 };
  let batch: Outgoing[] = [];
  let bytes = 0;

  const flush = async () => {
    if (batch.length === 0) return;
    const { refused, wasRepeated } = await target.send(batch);
    report.sent += batch.length;
    report.refused += refused.length;
    if (wasRepeated) report.repeated += batch.length;
    for (const refusal of refused) onRefused(refusal);
    onSent(batch.length);
    batch = [];
    bytes = 0;
  };

  for await (const event of events) {
    const isDue = event.dueMs === undefined || event.dueMs <= Date.now();
    const isFull = batch.length >= batchMax.events || bytes + event.content.length > batchMax.bytes;
    if (!isDue || isFull) await flush();
    if (event.dueMs !== undefined) await sleepUntil(event.dueMs);
    batch.push(event);
    bytes += event.content.length + 1;
  }
  await flush();
  return report;
}

/** In bounded naps: a timer longer than 24 days would fire at once. */
async function sleepUntil(dueMs: number): Promise<void> {
  for (;;) {
    const leftMs = dueMs - Date.now();
    if (leftMs <= 0) return;
    await sleep(Math.min(leftMs, napMaxMs));
  }
}
