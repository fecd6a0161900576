import type { Settings } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { UsageError } from '../cli/failure.ts';
import { apiCounters, type Baseline, type Counted, countSince } from '../publish/counters.ts';
import type { Outgoing, Refusal } from '../publish/outgoing.ts';
import { sendAll } from '../publish/send.ts';
import { openTarget } from '../publish/target.ts';
import { eventMaker, outgoing, type Recipe, type RowResult } from './event.ts';
import { noteColumns, noteTimes } from './notes.ts';
import type { ReplayOptions } from './options.ts';
import { readRows, type Survey, surveyFile } from './survey.ts';
import { openTally, type Tally } from './tally.ts';
import { placed, shiftDaysOf } from './time.ts';
import { refusalOf } from './unused.ts';

export interface ReplayReport extends Tally {
  /** Where the events went, in words. */
  target: string;
  /** What the file was read as, where it is another system's. */
  mapping: string | null;
  sent: number;
  /** Events that the API refused in its answer; `onNote` has every reason. */
  refused: number;
  /** Of the sent, those whose batch had to be sent again. */
  repeated: number;
  /** The times of the earliest and the latest event, as sent. */
  from: string;
  through: string;
  counted: Counted;
}

export interface ReplayHooks {
  /** A line for people: a warning, a row that was skipped. */
  onNote?: (line: string) => void;
  onStart?: (rows: number) => void;
  onProgress?: (rows: number) => void;
}

/**
 * Replays a file: reads it once to know it, then again row by row while sending, and waits until
 * the service has counted what was sent.
 *
 * @throws UsageError when the file cannot be replayed; Error when the target is not there.
 */
export async function replay(
  options: ReplayOptions,
  settings: Settings,
  hooks: ReplayHooks = {},
): Promise<ReplayReport> {
  const { onNote = () => {}, onStart = () => {}, onProgress = () => {} } = hooks;
  const survey = await surveyFile(options.file, options.columns);
  const { firstMs, plan, rows } = survey;
  const refusal = refusalOf(options.file, plan.unused());
  if (refusal !== undefined) throw new UsageError(refusal);
  if (plan.mapping?.isRelative === true && 'days' in options.shift && options.shift.days === 0) {
    throw new UsageError(
      `${options.file} is ${plan.mapping.name}, whose times count from its start: say on which ` +
        'day it starts, by --shift-to',
    );
  }
  const shiftDays = shiftDaysOf(options.shift, firstMs);
  const placement = { firstMs, shiftDays, stretch: options.stretch };
  const recipe: Recipe = { defaults: options.defaults, placement, rows };
  const range = { fromMs: placed(survey.minMs, placement), toMs: placed(survey.maxMs, placement) };
  noteColumns(plan, onNote);
  noteTimes(range, survey, placement, options.columns, settings, onNote);

  const target = await openTarget(options, settings);
  try {
    const baseline = await openBaseline(options.url);
    const tally = openTally();
    onStart(rows);
    const events = outgoingRows(options, survey, recipe, (row, result) => {
      tally.add(result);
      if ('fault' in result) onNote(`line ${row.line} skipped: ${result.fault}`);
    });
    const refusals = nameRefusals(onNote);
    const { sent, refused, repeated } = await sendAll(target, events, {
      onSent: () => onProgress(tally.counts.rows),
      onRefused: refusals.add,
    });
    onProgress(tally.counts.rows);
    refusals.finish();
    const counted =
      'reason' in baseline
        ? { counts: null, reason: baseline.reason }
        : await countSince(baseline, { sent, repeated }, options.waitMs);
    return {
      target: target.name,
      mapping: plan.mapping?.name ?? null,
      ...tally.counts,
      sent,
      refused,
      repeated,
      from: new Date(range.fromMs).toISOString(),
      through: new Date(range.toMs).toISOString(),
      counted,
    };
  } finally {
    await target.close();
  }
}

async function openBaseline(url: string): Promise<Baseline | { reason: string }> {
  const source = apiCounters(url);
  try {
    return { source, before: await source.read() };
  } catch (error) {
    return { reason: messageOf(error) };
  }
}

/** The file's events in its order, each with its due time where the speed asks for one. */
async function* outgoingRows(
  { file, speed }: ReplayOptions,
  { format, plan }: Survey,
  recipe: Recipe,
  onRow: (row: { line: number }, result: RowResult) => void,
): AsyncGenerator<Outgoing> {
  const startMs = Date.now();
  const firstMs = placed(recipe.placement.firstMs, recipe.placement);
  const eventOf = eventMaker(recipe);
  for await (const row of readRows(file, format, plan)) {
    const result = 'fault' in row ? row : attempt(() => eventOf(plan.read(row.names, row.values)));
    onRow(row, result);
    if (!('event' in result)) continue;
    const message = outgoing(result.event, row.line);
    const dueMs = startMs + (result.event.occurredAtMs - firstMs) / speed;
    yield speed === Number.POSITIVE_INFINITY ? message : { ...message, dueMs };
  }
}

/** A row that says one thing twice is named, as any other that cannot be read. */
function attempt(work: () => RowResult): RowResult {
  try {
    return work();
  } catch (error) {
    return { fault: messageOf(error) };
  }
}

const namedPerReason = 5;

/** An old trace is refused row by row for one reason: a few are named, the others counted. */
function nameRefusals(onNote: (line: string) => void) {
  const counts = new Map<string, number>();
  return {
    add: ({ label, reason }: Refusal) => {
      const count = (counts.get(reason) ?? 0) + 1;
      counts.set(reason, count);
      if (count <= namedPerReason) onNote(`${label} refused: ${reason}`);
    },
    finish: () => {
      for (const [reason, count] of counts) {
        const more = count - namedPerReason;
        if (more > 0) onNote(`${more} more refused: ${reason}`);
      }
    },
  };
}
