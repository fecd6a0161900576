/** The consumer, with an INSERT for each event where ours has a COPY. Run by `ingest.ts`. */

import { startConsumer } from '../../functions/consumer/consumer.ts';
import { eventStorage } from '../../shared/events/event-storage.ts';
import { httpApp } from '../../shared/http/app.ts';
import { runInternalFunction, serve } from '../../shared/http/serve.ts';
import { brokerSource } from '../../shared/platform/broker/stream.ts';
import { openCache } from '../../shared/platform/cache.ts';
import {
  type Database,
  openDatabase,
  type Transaction,
} from '../../shared/platform/database/db.ts';
import { requireSetting } from '../../shared/platform/env.ts';

runInternalFunction('row-consumer', async (settings, logger, registry) => {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://');
  const database = openDatabase({ url, connectionsMax: 5, patienceMs: 5_000 });
  const brokers = brokerSource(requireSetting(settings, 'RABBITMQ_URL', 'amqp://'), {});
  const storage = eventStorage(database);
  const cache = openCache(settings);
  const deps = { database: byRow(database), storage, cache, brokers, settings, logger };
  const consumer = startConsumer(deps);
  const app = httpApp({ logger, registry, routes: [], ready: () => consumer.check() });
  const server = await serve(app, settings);
  return async () => {
    await server.close();
    // In the middle of a stream that it will never finish.
    process.exit(0);
  };
});

function byRow(database: Database): Database {
  return {
    ...database,
    transaction: (options, work) =>
      database.transaction(options, (transaction) =>
        work({ ...transaction, copyFrom: (text, data) => insertEach(transaction, text, data) }),
      ),
  };
}

/** Takes COPY's data apart again. The bench's events hold nothing that was escaped. */
async function insertEach(transaction: Transaction, copy: string, data: Buffer): Promise<void> {
  const lines = data.toString().trimEnd().split('\n');
  const width = lines[0]?.split('\t').length ?? 0;
  const places = Array.from({ length: width }, (_, index) => `$${index + 1}`).join(', ');
  const insert = copy
    .replace(/^copy /, 'insert into ')
    .replace(/ from stdin$/, () => ` values (${places})`);
  for (const line of lines) {
    const cells = line.split('\t').map((cell) => (cell === '\\N' ? null : cell));
    await transaction.query(insert, cells);
  }
}
