import { expect } from 'vitest';
import { deadLetterQueueOf, sendRejects } from '../../shared/dead-letters/dead-letters.ts';
import { encodeEvent } from '../../shared/events/usage-event.ts';
import { connectBroker } from '../../shared/platform/broker/stream.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { type DeadLetter, drainDeadLetters } from '../support/dead-letters.ts';
import { type FaultRun, faultTest } from '../support/faults/fault-test.ts';
import { otherOrg } from '../support/faults/send.ts';
import { poison } from '../support/poison.ts';
import { publishTraffic, withChannel } from '../support/stream-traffic.ts';
import { lockTable } from '../support/table-lock.ts';
import { until } from '../support/until.ts';
import { usageEvent } from '../support/usage-events.ts';

faultTest('messages-poisoned', {}, async (run) => {
  const kinds = poison();
  await run.rounds(() => reject(run, kinds));
  // What only looks strange is stored.
  const odd = usageEvent({ orgId: otherOrg, clientId: '"; drop table usage_events; --\t\\N\n' });
  run.expected.others.push(odd);
  const broker = await connectBroker(run.urls.rabbitmq);
  const headers = {
    traceparent: 5,
    tracestate: [{}],
    'x-stream-offset': 'first',
    deep: { a: [{}] },
  };
  const message = { queue: run.settings.RABBITMQ_STREAM, content: encodeEvent(odd), headers };
  await broker.publish([message], 5_000).finally(() => broker.close());
  const letters = await allLetters(run);
  for (const [kind, content] of kinds) {
    const found = letters.filter((letter) => letter.content.equals(content));
    expect(found.length, kind).toBeGreaterThanOrEqual(run.extent.rounds);
    for (const { reasons } of found) expect(reasons, kind).not.toEqual([]);
  }
  run.note(`${kinds.size} kinds`);
});

faultTest('messages-of-10-mb', {}, async (run) => {
  // Without the bound on what is read ahead the short form took 370 to 386 MB, with it 285 to 300.
  const [count, peakMaxMb] = run.extent.form === 'long' ? [100, 450] : [12, 340];
  const large = new Map([['large', Buffer.alloc(10_000_000, 'x')]]);
  // While the database holds the consumer up, it reads ahead.
  const lock = await lockTable(run.urls.database, 'analytics.usage_events');
  try {
    for (let sent = 0; sent < count; sent += 1) await reject(run, large);
    await until('the consumer waits for the table', lock.isAwaited);
  } finally {
    await lock.release();
  }
  await allLetters(run);
  expect(run.consumer.peakMb ?? 0).toBeLessThan(peakMaxMb);
});

faultTest('messages-repeated', {}, async (run) => {
  const count = run.extent.form === 'long' ? 1_000_000 : 50_000;
  const event = usageEvent({ orgId: otherOrg });
  run.expected.others.push(event);
  const message = { content: encodeEvent(event), event };
  const messages = Array.from({ length: count }, () => message);
  await publishTraffic(run.urls.rabbitmq, run.settings.RABBITMQ_STREAM, messages);
});

const notTaken = 'RabbitMQ did not take it';

/** Room for the letters of every kind of poison, once others have been taken out. */
const lettersMax = 150;

faultTest('dead-letters-full', {}, async (run) => {
  const queue = deadLetterQueueOf(run.settings);
  await withChannel(run.urls.rabbitmq, async (channel) => {
    await channel.deleteQueue(queue);
    await channel.assertQueue(queue, {
      arguments: {
        'x-queue-type': 'quorum',
        'x-max-length': lettersMax,
        'x-overflow': 'reject-publish',
      },
    });
  });
  await fill(run, queue);
  const kinds = poison();
  expect(kinds.size).toBeLessThan(lettersMax);
  await reject(run, kinds);
  await until('the consumer says why it waits', async () => run.consumer.log().includes(notTaken));
  await run.hold();
  // As in operation: what is there is saved and taken out.
  const saved = await drainDeadLetters(run.urls.rabbitmq, queue);
  expectEach(kinds, [...saved, ...(await allLetters(run))]);
});

faultTest('dead-letters-deleted', {}, async (run) => {
  const kinds = poison();
  await run.rounds(async () => {
    await withChannel(run.urls.rabbitmq, (channel) =>
      channel.deleteQueue(deadLetterQueueOf(run.settings)),
    );
    await reject(run, kinds);
    expectEach(kinds, await allLetters(run));
  });
});

/**
 * Until the queue refuses. The broker tells a channel that a quorum queue is full some time after it
 * is: what a burst brings until then is taken beyond the limit, be it all of it.
 */
async function fill(run: FaultRun, queue: string): Promise<void> {
  const message = { offset: 0, content: Buffer.from('rejected long ago'), headers: {} };
  const older = { stream: run.settings.RABBITMQ_STREAM, message, reasons: ['it is no event'] };
  const broker = await connectBroker(run.urls.rabbitmq);
  try {
    await sendRejects(broker, queue, Array<typeof older>(lettersMax).fill(older));
    await until('the dead-letter queue is full', () =>
      sendRejects(broker, queue, [older]).then(
        () => false,
        (error: unknown) => messageOf(error).includes(notTaken),
      ),
    );
  } finally {
    await broker.close();
  }
}

/** Sends what is no event, all of it. */
async function reject(run: FaultRun, kinds: ReadonlyMap<string, Buffer>): Promise<void> {
  const { urls, settings, expected } = run;
  expected.rejected += kinds.size;
  const messages = [...kinds.values()].map((content) => ({ content, event: null }));
  await publishTraffic(urls.rabbitmq, settings.RABBITMQ_STREAM, messages);
}

/** What waits in the dead-letter queue, taken out, once every reject is counted. */
async function allLetters(run: FaultRun): Promise<DeadLetter[]> {
  const { urls, settings, database, expected } = run;
  await until('every reject is counted', async () => {
    const [row] = await database.query<{ rejected: number }>(
      'select events_rejected::float8 as rejected from analytics.stream_offsets where stream = $1',
      [settings.RABBITMQ_STREAM],
    );
    return (row?.rejected ?? 0) >= expected.rejected;
  });
  return drainDeadLetters(urls.rabbitmq, deadLetterQueueOf(settings));
}

function expectEach(kinds: ReadonlyMap<string, Buffer>, letters: readonly DeadLetter[]): void {
  for (const [kind, content] of kinds) {
    expect(
      letters.some((letter) => letter.content.equals(content)),
      kind,
    ).toBe(true);
  }
}
