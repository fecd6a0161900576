import { expect } from 'vitest';
import { connectBroker } from '../../shared/platform/broker/stream.ts';
import { type FaultRun, faultTest } from '../support/faults/fault-test.ts';
import { send } from '../support/faults/send.ts';
import { offsetRow } from '../support/offsets.ts';
import { declare, withChannel } from '../support/stream-traffic.ts';
import { lockTable } from '../support/table-lock.ts';
import { until } from '../support/until.ts';

/** Seconds of steady publishing fit into it, a burst does not. */
const smallStream = { RABBITMQ_STREAM_MAX_BYTES: '6000000' };
const burst = 25_000;

faultTest('stream-truncated-while-away', { environment: smallStream }, async (run) => {
  await run.consumer.stop();
  await truncateUnread(run);
  run.addConsumer();
  await lossIsTold(run);
});

faultTest('stream-truncated-under-the-reader', { environment: smallStream }, async (run) => {
  const lock = await lockTable(run.urls.database, 'analytics.usage_events');
  try {
    await until('the consumer waits for the table', lock.isAwaited);
    await truncateUnread(run);
  } finally {
    await lock.release();
  }
  await lossIsTold(run);
});

faultTest('stream-offset-beyond-the-head', {}, async (run) => {
  await run.consumer.stop();
  await run.database.query(
    `update analytics.stream_offsets set committed_offset = committed_offset + 1000000
     where stream = $1`,
    [run.settings.RABBITMQ_STREAM],
  );
  run.addConsumer();
});

faultTest('stream-remade-while-away', {}, async (run) => {
  const { publisher, settings, urls } = run;
  await publisher.pause();
  const committed = await allRead(run);
  await run.consumer.stop();
  await deleteStream(run);
  await declare(urls.rabbitmq, settings);
  await send(run, committed + 1_000);
  publisher.resume();
  run.addConsumer();
});

faultTest('stream-remade-unread', {}, async (run) => {
  const { publisher, settings, urls, database, expected } = run;
  await run.consumer.stop();
  await send(run, 1_000);
  await publisher.pause();
  const broker = await connectBroker(urls.rabbitmq);
  const head = await broker.head(settings.RABBITMQ_STREAM).finally(() => broker.close());
  const unread = await until('the head is seen', async () => {
    const row = await offsetRow(database, settings.RABBITMQ_STREAM);
    return row?.head_offset === head && (head ?? 0) - (row?.committed_offset ?? 0);
  });
  expected.mayLose = true;
  await deleteStream(run);
  await declare(urls.rabbitmq, settings);
  publisher.resume();
  run.addConsumer();
  await lossIsTold(run, unread);
});

faultTest('stream-remade-while-reading', {}, async (run) => {
  const { publisher } = run;
  await run.rounds(async () => {
    await publisher.pause();
    await allRead(run);
    // Of what is confirmed between the last look and the deletion nobody knows.
    await deleteStream(run);
    publisher.resume();
    await run.progress();
  });
});

/** Sends more than the stream keeps, until what comes after the committed offset is gone. */
async function truncateUnread(run: FaultRun): Promise<void> {
  const { urls, settings, database, expected } = run;
  const stream = settings.RABBITMQ_STREAM;
  expected.mayLose = true;
  await send(run, burst);
  const broker = await connectBroker(urls.rabbitmq);
  try {
    await until('retention has passed the committed offset', async () => {
      const committed = (await offsetRow(database, stream))?.committed_offset ?? 0;
      return ((await broker.tail(stream)) ?? 0) > committed + 1;
    });
  } finally {
    await broker.close();
  }
}

/** Everything that was confirmed; gives the committed offset. */
async function allRead({ urls, settings, database }: FaultRun): Promise<number> {
  const broker = await connectBroker(urls.rabbitmq);
  try {
    return await until('all is read', async () => {
      const head = await broker.head(settings.RABBITMQ_STREAM);
      const row = await offsetRow(database, settings.RABBITMQ_STREAM);
      return row?.committed_offset === head && head;
    });
  } finally {
    await broker.close();
  }
}

async function deleteStream({ urls, settings }: FaultRun): Promise<void> {
  await withChannel(urls.rabbitmq, (channel) => channel.deleteQueue(settings.RABBITMQ_STREAM));
}

/** By the metric that AnalyticsMessagesLost watches, and in the consumer's log. */
async function lossIsTold(run: FaultRun, messages?: number): Promise<void> {
  const { settings, service } = run;
  const name = `analytics_ingestion_messages_lost_total{stream="${settings.RABBITMQ_STREAM}"}`;
  const lost = await until('the loss is counted', async () => {
    const text = await (await service.app.request('/metrics')).text();
    const line = text.split('\n').find((one) => one.startsWith(name));
    const count = Number(line?.split(' ').at(-1));
    return count > 0 && count;
  });
  if (messages !== undefined) expect(lost).toBe(messages);
  run.note(`${lost} messages lost and counted`);
}
