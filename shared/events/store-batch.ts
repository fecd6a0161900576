import { type Database, sqlState } from '../platform/database/db.ts';
import type { EventStorage } from './event-storage.ts';
import { type IngestBatch, type IngestOptions, type IngestResult, ingest } from './ingest.ts';

/**
 * Makes sure that the batch's days have a place, then ingests it. A day that was known and is gone
 * (another process with a shorter retention dropped it, or a restore did) is made anew, once.
 *
 * @throws what `ingest` throws; a missing partition is never the event's fault (see
 * `isMissingPartition`).
 */
export async function storeBatch(
  database: Database,
  storage: EventStorage,
  batch: IngestBatch,
  options: IngestOptions = {},
): Promise<IngestResult> {
  const times = batch.events.map(({ occurredAtMs }) => occurredAtMs);
  await storage.ensureDays(times);
  try {
    return await ingest(database, batch, options);
  } catch (error) {
    if (!isMissingPartition(error)) throw error;
    storage.forgetDays();
    await storage.ensureDays(times);
    return ingest(database, batch, options);
  }
}

/** PostgreSQL reports it as a check violation, like bad data. */
export function isMissingPartition(error: unknown): boolean {
  const checkViolation = '23514';
  return (
    sqlState(error) === checkViolation &&
    error instanceof Error &&
    error.message.startsWith('no partition of relation')
  );
}
