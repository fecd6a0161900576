/**
 * A consumer in a process of its own, to be killed by tests. Run by `spawnConsumer`; beside the
 * service's settings it reads
 *
 * - CONSUMER_LEASE_MS
 * - CONSUMER_IDS_MAX
 * - CONSUMER_FAILPOINT, `step:number:signal`: the process sends itself the signal after that step
 *   of its batch of that number, counted from 1.
 */
import { startConsumer } from '../../functions/consumer/consumer.ts';
import { eventStorage } from '../../shared/events/event-storage.ts';
import type { IngestStep } from '../../shared/events/ingest.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openCache } from '../../shared/platform/cache.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { readSettings, requireSetting } from '../../shared/platform/env.ts';
import { createLogger } from '../../shared/platform/telemetry/telemetry.ts';

const { CONSUMER_LEASE_MS, CONSUMER_IDS_MAX, CONSUMER_FAILPOINT } = process.env;
const settings = readSettings(process.env);
const database = openDatabase({
  url: requireSetting(settings, 'DATABASE_URL', 'postgres://'),
  // By this name tests find its sessions.
  name: `consumer ${process.pid}`,
  connectionsMax: 4,
  patienceMs: 5_000,
  statementTimeoutMs: 60_000,
});
const brokers = brokerSource(requireSetting(settings, 'RABBITMQ_URL', 'amqp://'), {});
const cache = openCache(settings);
const consumer = startConsumer({
  database,
  storage: eventStorage(database),
  cache,
  brokers,
  settings,
  logger: createLogger(settings, 'consumer'),
  ...(CONSUMER_LEASE_MS === undefined ? {} : { leaseMs: Number(CONSUMER_LEASE_MS) }),
  ...(CONSUMER_IDS_MAX === undefined ? {} : { idsMax: Number(CONSUMER_IDS_MAX) }),
  ...(CONSUMER_FAILPOINT === undefined ? {} : { failpoint: failpoint(CONSUMER_FAILPOINT) }),
});

function failpoint(text: string): (step: IngestStep) => void {
  const [wanted, number, signal] = text.split(':');
  let seen = 0;
  return (step) => {
    if (step !== wanted) return;
    seen += 1;
    if (seen === Number(number)) process.kill(process.pid, signal);
  };
}

process.once('SIGTERM', async () => {
  await consumer.stop();
  await brokers.close();
  await cache.close();
  await database.close();
  process.exit(0);
});
// A test run that dies takes its consumers along: their input ends.
process.stdin.on('end', () => process.exit(1)).resume();
