import type { Settings } from '../../shared/platform/env.ts';
import type { ColumnChoice, Plan } from './plan.ts';
import type { Survey } from './survey.ts';
import { dayMs, type Placement } from './time.ts';
import { namesText } from './unused.ts';

/** What a person should know before the first row is sent: better named now than missed later. */

type Note = (line: string) => void;

/** What the file is read as, and what of it is not. */
export function noteColumns(plan: Plan, onNote: Note): void {
  const { mapping } = plan;
  if (mapping !== undefined) onNote(`read as ${mapping.name}`);
  if (mapping?.note !== undefined) onNote(`warning: ${mapping.note}`);
  const leftOut = plan.leftOut();
  if (leftOut.length > 0) onNote(`left out: ${namesText(leftOut)}`);
  const unused = plan.unused();
  if (unused.length > 0) onNote(`not used: ${namesText(unused)}`);
}

/** The contract's allowance for events ahead of the service's clock. */
const aheadMaxMs = 10 * 60_000;

/** What the service will not take, or may hold against the events. */
export function noteTimes(
  { fromMs, toMs }: { fromMs: number; toMs: number },
  { hasEventIds, zoneless, plan }: Survey,
  { shiftDays, stretch }: Placement,
  { timeZone }: ColumnChoice,
  { RAW_RETENTION_DAYS: retentionDays }: Settings,
  onNote: Note,
): void {
  const nowMs = Date.now();
  const date = (ms: number) => new Date(ms).toISOString();
  // Of another system's files it is known; who named a zone knows.
  if (zoneless.count > 0 && plan.mapping === undefined && timeZone === 'UTC') {
    const more = zoneless.count > zoneless.lines.length ? ', …' : '';
    onNote(
      `warning: times without a zone are read as UTC, ${zoneless.count} of them (lines ` +
        `${zoneless.lines.join(', ')}${more}): --timezone says which zone they are of`,
    );
  }
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
