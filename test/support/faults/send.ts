import { encodeEvent } from '../../../shared/events/usage-event.ts';
import { publishTraffic } from '../stream-traffic.ts';
import { randomEvent } from '../usage-events.ts';
import type { FaultRun } from './fault-test.ts';

/** Of no org that the reader asks about, since it knows the publisher's events only. */
export const otherOrg = '00000000-0000-4000-8000-00000000000f';

type Run = Pick<FaultRun, 'urls' | 'settings' | 'random' | 'expected'>;

/** Events beside the publisher's, each once, as fast as the broker takes them. */
export async function send(run: Run, count: number): Promise<void> {
  const events = Array.from({ length: count }, () => ({
    ...randomEvent(run.random, Date.now(), 3_600_000),
    orgId: otherOrg,
  }));
  run.expected.others.push(...events);
  const messages = events.map((event) => ({ content: encodeEvent(event), event }));
  await publishTraffic(run.urls.rabbitmq, run.settings.RABBITMQ_STREAM, messages);
}
