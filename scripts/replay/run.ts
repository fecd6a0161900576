import type { Settings } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { apiCounters, type Baseline, type Counted, countSince } from '../publish/counters.ts';
import type { Outgoing, Refusal } from '../publish/outgoing.ts';
import { sendAll } from '../publish/send.ts';
import { openTarget } from '../publish/target.ts';
import { eventOf, outgoing, type Recipe } from './event.ts';
import type { ReplayOptions } from './options.ts';
import { readRows } from './rows.ts';
import { type Survey, surveyFile } from './survey.ts';
import { dayMs, placed, shiftDaysOf } from './time.ts';

export interface ReplayReport {
  /** Where the events went, in words. */
  target: string;
  rows: number;
  sent: number;
  /** Rows that are no events, each named by `onNote`. */
  skipped: number;
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

/** The contract's allowance for events ahead of the service's clock. */
const aheadMaxMs = 10 * 60_000;

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
  const survey = await surveyFile(options.file);
  const { firstMs, fileHash } = survey;
  const shiftDays = shiftDaysOf(options.shift, firstMs);
  const placement = { firstMs, shiftDays, stretch: options.stretch };
  const recipe: Recipe = { defaults: options.defaults, placement, fileHash };
  const range = { fromMs: placed(survey.minMs, placement), toMs: placed(survey.maxMs, placement) };
  warn(range, survey, recipe, settings, onNote);

  const target = await openTarget(options, settings);
  try {
    const baseline = await openBaseline(options.url);
    const counts = { rows: 0, skipped: 0 };
    onStart(survey.rows);
    const events = outgoingRows(options, recipe, (row, fault) => {
      counts.rows += 1;
      if (fault === null) return;
      counts.skipped += 1;
      onNote(`line ${row.line} skipped: ${fault}`);
    });
    const refusals = nameRefusals(onNote);
    const { sent, refused, repeated } = await sendAll(target, events, {
      onSent: () => onProgress(counts.rows),
      onRefused: refusals.add,
    });
    onProgress(counts.rows);
    refusals.finish();
    const counted =
      'reason' in baseline
        ? { counts: null, reason: baseline.reason }
        : await countSince(baseline, { sent, repeated }, options.waitMs);
    return {
      target: target.name,
      ...counts,
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
  recipe: Recipe,
  onRow: (row: { line: number }, fault: string | null) => void,
): AsyncGenerator<Outgoing> {
  const startMs = Date.now();
  const firstMs = placed(recipe.placement.firstMs, recipe.placement);
  for await (const row of readRows(file)) {
    const result = 'fault' in row ? row : eventOf(row.fields, row.number, recipe);
    if ('fault' in result) {
      onRow(row, result.fault);
      continue;
    }
    onRow(row, null);
    const message = outgoing(result.event, row.line);
    const dueMs = startMs + (result.event.occurredAtMs - firstMs) / speed;
    yield speed === Number.POSITIVE_INFINITY ? message : { ...message, dueMs };
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

/** What the service will not take, or may hold against the events, is better known beforehand. */
function warn(
  { fromMs, toMs }: { fromMs: number; toMs: number },
  { hasEventIds }: Survey,
  { placement: { shiftDays, stretch } }: Recipe,
  { RAW_RETENTION_DAYS: retentionDays }: Settings,
  onNote: (line: string) => void,
): void {
  const nowMs = Date.now();
  const date = (ms: number) => new Date(ms).toISOString();
  if (fromMs < nowMs - retentionDays * dayMs) {
    onNote(
      `warning: events from ${date(fromMs)} on are older than RAW_RETENTION_DAYS ` +
        `(${retentionDays}), which the service rejects: consider --shift-to yesterday`,
    );
  }
  if (toMs > nowMs + aheadMaxMs) {
    onNote(
      `warning: events up to ${date(toMs)} lie in the future, which the service rejects: ` +
        'choose an earlier --shift-to or a smaller --stretch',
    );
  }
  if (hasEventIds && (shiftDays !== 0 || stretch !== 1)) {
    onNote(
      'warning: rows keep their own eventId at another time: beside the original they are other ' +
        'events, and a dedupe failure to verify',
    );
  }
}
