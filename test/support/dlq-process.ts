/**
 * A replay of the dead-letter queue in a process of its own, which kills itself between the
 * broker's confirms and the removal of the letters. Run by test/dlq.test.ts.
 */
import { replayQueue } from '../../scripts/dlq/replay.ts';
import { deadLetterQueueOf } from '../../shared/dead-letters/dead-letters.ts';
import { connectBroker } from '../../shared/platform/broker/stream.ts';
import { readSettings, requireSetting, streamPartitions } from '../../shared/platform/env.ts';

const settings = readSettings(process.env);
const broker = await connectBroker(requireSetting(settings, 'RABBITMQ_URL', 'amqp://'));
const browser = await broker.browse(deadLetterQueueOf(settings), 250);
await replayQueue(browser, {
  broker,
  partitions: streamPartitions(settings),
  rules: { nowMs: Date.now(), rawRetentionDays: settings.RAW_RETENTION_DAYS },
  filter: {
    reason: null,
    stream: null,
    offsets: null,
    org: null,
    event: null,
    sinceMs: null,
    untilMs: null,
  },
  limit: 1_000,
  dryRun: false,
  onPublished: () => process.kill(process.pid, 'SIGKILL'),
});
