import type * as z from 'zod';
import { openHttpTarget } from '../../publish/http-target.ts';
import type { Outgoing, Target } from '../../publish/outgoing.ts';
import { sendAll } from '../../publish/send.ts';
import { openApi } from '../api.ts';
import { actorOf, type apiForm, type jsonForm, urlOf } from '../api-options.ts';
import { exitCodes } from '../failure.ts';
import { note, say, sayJson } from '../output.ts';
import { printable } from '../printable.ts';
import { readEvents } from './read.ts';
import { openValidation } from './validation.ts';

type Options = z.output<typeof apiForm> & z.output<typeof jsonForm>;

/** So many are named; the others are counted. */
const namedMax = 1_000;

/** Sends the events of a file, in order. Sending them again changes nothing. */
export function sendEvents(options: Options, path: string): Promise<number> {
  return handOver(openHttpTarget(urlOf(options), actorOf(options)), 'accepted', options, path);
}

/** Asks whether the service would take the events of a file, and sends none. */
export function validateEvents(options: Options, path: string): Promise<number> {
  const api = openApi(urlOf(options), actorOf(options));
  return handOver(openValidation(api), 'valid', options, path);
}

/** @returns 1 when some were refused, each of which is named */
async function handOver(
  target: Target,
  taken: 'accepted' | 'valid',
  { json }: Options,
  path: string,
): Promise<number> {
  const errors: { event: string; reason: string }[] = [];
  let rejected = 0;
  const refuse = (event: string, reason: string) => {
    rejected += 1;
    if (rejected > namedMax) return;
    errors.push({ event, reason });
    if (!json) note(printable(`${event}: ${reason}`));
  };
  const events = async function* (): AsyncGenerator<Outgoing> {
    for await (const event of readEvents(path)) {
      if ('fault' in event) refuse(event.label, event.fault);
      else yield event;
    }
  };
  const { sent, refused } = await sendAll(target, events(), {
    onRefused: ({ label, reason }) => refuse(label, reason),
  });
  await target.close();
  const good = sent - refused;
  if (json) sayJson({ [taken]: good, rejected, errors });
  else say(`${good} ${taken}, ${rejected} rejected`);
  return rejected === 0 ? exitCodes.done : exitCodes.failed;
}
