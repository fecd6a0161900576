import { createInterface } from 'node:readline/promises';
import { deadLetterQueueOf } from '../../shared/dead-letters/dead-letters.ts';
import type { EventRules } from '../../shared/events/usage-event.ts';
import { declareStreams } from '../../shared/partitions/topology.ts';
import type { QueueBrowser } from '../../shared/platform/broker/queue-browser.ts';
import { type Broker, connectBroker } from '../../shared/platform/broker/stream.ts';
import { requireSetting, type Settings, streamPartitions } from '../../shared/platform/env.ts';
import { ServiceError } from '../../shared/platform/errors.ts';
import { say, sayJson, sayJsonText } from '../cli/output.ts';
import { dropLetters } from './drop.ts';
import { listLetters, listText } from './list.ts';
import { pageSize } from './matching.ts';
import type { DlqOptions } from './options.ts';
import { type ReplayReport, replayFile, replayQueue, replayText } from './replay.ts';
import { findLetter, letterJson, letterText } from './show.ts';

type OptionsOf<Verb extends DlqOptions['verb']> = Extract<DlqOptions, { verb: Verb }>;

/**
 * Does what the command line asks for, and prints it.
 *
 * @returns 0 done, 1 for letters that are still not valid or not there
 * @throws ServiceError `unavailable` without the broker
 */
export async function runDlq(options: DlqOptions, settings: Settings): Promise<number> {
  const url = requireSetting(settings, 'RABBITMQ_URL', 'amqp://user:password@host:5672');
  const queue = deadLetterQueueOf(settings);
  const rules = { nowMs: Date.now(), rawRetentionDays: settings.RAW_RETENTION_DAYS };
  const broker = await connectBroker(url, { name: 'dlq' });
  try {
    switch (options.verb) {
      case 'list':
        return await list(broker, queue, options);
      case 'show':
        return await show(broker, queue, options, rules);
      case 'replay':
        return await replay(broker, queue, options, settings, rules);
      case 'drop':
        return await drop(broker, queue, options);
    }
  } finally {
    await broker.close();
  }
}

async function list(
  broker: Broker,
  queue: string,
  { filter, limit, json }: OptionsOf<'list'>,
): Promise<number> {
  const letters = await browsing(broker, queue, (browser) => listLetters(browser, filter, limit));
  if (json) sayJson({ queue, ...letters });
  else say(listText(queue, letters));
  return 0;
}

async function show(
  broker: Broker,
  queue: string,
  { filter, json }: OptionsOf<'show'>,
  rules: EventRules,
): Promise<number> {
  const letter = await browsing(broker, queue, (browser) => findLetter(browser, filter));
  if (letter === null) throw new Error(`no letter in ${queue} matches`);
  if (json) sayJsonText(letterJson(letter, rules));
  else say(letterText(letter, rules));
  return 0;
}

async function replay(
  broker: Broker,
  queue: string,
  { filter, limit, dryRun, from, json }: OptionsOf<'replay'>,
  settings: Settings,
  rules: EventRules,
): Promise<number> {
  const deps = { broker, partitions: streamPartitions(settings), rules, filter, limit, dryRun };
  // Partitions that were only just configured are there before they are published to.
  if (!dryRun) await declareStreams(broker, settings);
  const report: ReplayReport =
    from === null
      ? await browsing(broker, queue, (browser) => replayQueue(browser, deps))
      : await replayFile(from, deps);
  if (json) sayJson({ queue, ...report });
  else say(replayText(report));
  return report.kept.length > 0 ? 1 : 0;
}

async function drop(
  broker: Broker,
  queue: string,
  { filter, limit, to, isConfirmed, json }: OptionsOf<'drop'>,
): Promise<number> {
  const report = await browsing(broker, queue, (browser) =>
    dropLetters(browser, {
      filter,
      limit,
      to,
      onLetter: (line) => {
        if (!json) say(line);
      },
      confirm: async (count) => isConfirmed || (await ask(`Drop these ${count} letters?`)),
    }),
  );
  const { matched, dropped } = report;
  const left = matched - dropped.length;
  if (json) sayJson({ queue, ...report });
  else say(`${dropped.length} dropped${left > 0 ? `, ${left} that match are left` : ''}`);
  return 0;
}

async function browsing<T>(
  broker: Broker,
  queue: string,
  work: (browser: QueueBrowser) => Promise<T>,
): Promise<T> {
  if (!(await broker.exists(queue))) {
    throw new ServiceError(
      'not_found',
      `RabbitMQ has no queue ${queue}; npm run bootstrap makes it`,
    );
  }
  const browser = await broker.browse(queue, pageSize);
  try {
    return await work(browser);
  } finally {
    await browser.close();
  }
}

async function ask(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
