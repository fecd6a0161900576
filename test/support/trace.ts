import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';

/**
 * What a replayed trace must come to, worked out from the file by means of its own: nothing here
 * is the project's code, and local times are those of Intl, not of Temporal as in the service.
 */

export interface TraceEvent {
  ms: number;
  inputTokens: number;
  outputTokens: number;
  /** In ten-thousandths of a cent. */
  cost: bigint;
}

export interface Sums {
  invocations: number;
  inputTokens: number;
  outputTokens: number;
  costEstimateCents: number;
}

/** Cents for a million tokens, with decimals, so that every event's cost has to be rounded. */
export const prices = { input: '2.5', output: '10.25' };
const hundredths = { input: 250n, output: 1_025n };

/**
 * Costs as they are stored, in ten-thousandths of a cent: what rounding leaves over goes to the rows
 * that follow. Input and output have each a sum of their own, kept within a unit of what they come
 * to, and within that the sum of both is the nearest.
 */
function costsInOrder(): (input: number, output: number) => bigint {
  // In hundred-millionths of a cent, ten thousand of which are a unit.
  const unit = 10_000n;
  const exact = { input: 0n, output: 0n };
  const given = { input: 0n, output: 0n };
  const give = (side: 'input' | 'output', cost: bigint) => {
    exact[side] += cost;
    const least = exact[side] / unit > given[side] ? exact[side] / unit : given[side];
    const most = (exact[side] + unit - 1n) / unit;
    const both = (exact.input + exact.output + unit / 2n) / unit;
    const other = side === 'input' ? given.output : given.input;
    const wanted = both - other < most ? both - other : most;
    const next = wanted > least ? wanted : least;
    const cents = next - given[side];
    given[side] = next;
    return cents;
  };
  return (input, output) =>
    give('input', BigInt(input) * hundredths.input) +
    give('output', BigInt(output) * hundredths.output);
}

/** The events of a trace: time, input and output tokens are the first three columns. */
export function readTrace(path: string): TraceEvent[] {
  const [, ...lines] = readFileSync(path, 'utf8').split(/\r?\n/);
  const costOf = costsInOrder();
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const [time = '', input = '', output = ''] = line.split(',');
      const [inputTokens, outputTokens] = [Number(input), Number(output)];
      return {
        ms: Date.parse(`${time.replace(' ', 'T').slice(0, 23)}Z`),
        inputTokens,
        outputTokens,
        cost: costOf(inputTokens, outputTokens),
      };
    });
}

/** The trace moved so that its first event falls on a day (its first moment, UTC), and stretched. */
export function moved(trace: readonly TraceEvent[], dayStartMs: number, stretch = 1): TraceEvent[] {
  const firstMs = trace[0]?.ms ?? 0;
  const firstDayMs = Date.parse(`${new Date(firstMs).toISOString().slice(0, 10)}T00:00:00Z`);
  return trace.map((event) => ({
    ...event,
    ms: dayStartMs + (firstMs - firstDayMs) + (event.ms - firstMs) * stretch,
  }));
}

export function sumsOf(events: readonly TraceEvent[]): Sums {
  let cost = 0n;
  let inputTokens = 0;
  let outputTokens = 0;
  for (const event of events) {
    inputTokens += event.inputTokens;
    outputTokens += event.outputTokens;
    cost += event.cost;
  }
  const costEstimateCents = Number(cost) / 10_000;
  return { invocations: events.length, inputTokens, outputTokens, costEstimateCents };
}

/** Sums by local bucket, in the form of `bucketKey`. */
export function bucketsOf(
  events: readonly TraceEvent[],
  timeZone: string,
  granularity: 'hour' | 'day',
): Record<string, Sums> {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    timeZoneName: 'longOffset',
  });
  const groups = new Map<string, TraceEvent[]>();
  for (const event of events) {
    const parts = new Map(format.formatToParts(event.ms).map(({ type, value }) => [type, value]));
    const date = `${parts.get('year')}-${parts.get('month')}-${parts.get('day')}`;
    // `GMT-04:00`: tells the two hours apart that a clock shows twice.
    const offset = timeZone === 'UTC' ? 'Z' : parts.get('timeZoneName')?.slice(3);
    const key = granularity === 'day' ? date : `${date}T${parts.get('hour')}:00:00${offset}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [event]);
    else group.push(event);
  }
  return Object.fromEntries([...groups].map(([key, group]) => [key, sumsOf(group)]));
}

/** A bucket's start as the API writes it → the same key. */
export function bucketKey(bucketStart: string, granularity: 'hour' | 'day'): string {
  return granularity === 'day' ? bucketStart.slice(0, 10) : bucketStart;
}

/** Writes a trace of the same shape as the Azure one: 57 minutes, from 18:17 UTC on. */
export async function makeTrace(path: string): Promise<void> {
  const startMs = Date.parse('2024-02-28T18:17:03.979Z');
  let state = 1;
  // A linear congruential generator (Numerical Recipes): the same trace every time.
  const random = (max: number) => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return Math.floor((state / 2 ** 32) * max);
  };
  const rows = ['occurred_at,input_tokens,output_tokens,client_id'];
  for (let ms = 0; ms <= 57 * 60_000; ms += 1 + random(4_000)) {
    rows.push(`${new Date(startMs + ms).toISOString()},${random(8_000)},${random(900)},made`);
  }
  await writeFile(path, `${rows.join('\n')}\n`);
}
