import { stat } from 'node:fs/promises';
import { parseKeepingCosts, stringify } from '../../../shared/decimal-json.ts';
import { messageOf } from '../../../shared/platform/errors.ts';
import type { Outgoing } from '../../publish/outgoing.ts';
import { readText } from '../../replay/bytes.ts';
import { readLines } from '../../replay/lines.ts';
import { UsageError } from '../failure.ts';

/** An event as it is to be sent, or why what stands there is none. */
export type Read = Outgoing | { label: string; fault: string };

/** What is read as a whole: a list, or an event over several lines. */
const wholeMaxBytes = 64 * 1_048_576;

/**
 * The events of a file, or of standard input for `-`: one, a JSON list of them, or one a line. Only
 * that each is JSON is looked at; costs keep their digits.
 *
 * @throws UsageError when the file cannot be read
 */
export async function* readEvents(path: string): AsyncGenerator<Read> {
  const text = await readWhole(path);
  const whole = text === null ? undefined : parsed(text);
  if (Array.isArray(whole)) {
    for (const [index, event] of whole.entries()) yield outgoing(`event ${index}`, event);
  } else if (whole !== undefined) {
    yield outgoing('the event', whole);
  } else if (text === null) {
    for await (const line of readLines(path)) {
      if ('fault' in line) yield { label: `line ${line.number}`, fault: line.fault };
      else yield* lineOf(line.number, line.text);
    }
  } else {
    if (text.trimStart().startsWith('[')) throw new UsageError(`${path} is no valid JSON list`);
    for (const [index, line] of text.split('\n').entries()) yield* lineOf(index + 1, line);
  }
}

function* lineOf(number: number, text: string): Generator<Read> {
  if (text.trim() === '') return;
  const label = `line ${number}`;
  const event = parsed(text);
  yield event === undefined ? { label, fault: 'is not JSON' } : outgoing(label, event);
}

function outgoing(label: string, event: unknown): Outgoing {
  // The API tells what is wrong with it, ids included.
  return { label, eventId: '', orgId: '', content: Buffer.from(stringify(event)) };
}

function parsed(text: string): unknown {
  try {
    return parseKeepingCosts(text);
  } catch {
    return undefined;
  }
}

/** Null for a file that is too large for that, be it once it is unpacked. */
async function readWhole(path: string): Promise<string | null> {
  try {
    if (path === '-') {
      const bytes = await readBounded(process.stdin);
      if (bytes !== null) return decode(bytes);
      throw new UsageError('more than 64 MiB: give them as a file, one a line');
    }
    if ((await stat(path)).size > wholeMaxBytes) return null;
    const bytes = await readBounded(readText(path));
    return bytes === null ? null : decode(bytes);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `${path === '-' ? 'standard input' : path} cannot be read: ${messageOf(error)}`,
    );
  }
}

function decode(bytes: Buffer): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}

/** Null where there is more. */
async function readBounded(source: AsyncIterable<Buffer>): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > wholeMaxBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
