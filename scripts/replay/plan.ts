import { eventColumns, eventTextColumns } from '../../shared/exports/events.ts';
import { unguardedCell } from '../../shared/exports/formula-guard.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { UsageError } from '../cli/failure.ts';
import { type Draft, emptyDraft, isEmpty } from './draft.ts';
import { bare, type Mapping, setterOf } from './mapping.ts';
import { mappingOf } from './mappings.ts';
import { type Setter, type TargetName, targetOf, targets } from './targets.ts';
import { namesText } from './unused.ts';

/** What the command line says of columns. */
export interface ColumnChoice {
  /** Target by column. */
  maps: readonly { column: string; target: string }[];
  ignores: readonly string[];
  /** Of times without one. */
  timeZone: string;
}

/** How the rows of one file are read. */
export interface Plan {
  mapping: Mapping | undefined;
  /** Whether the file is an `events` export of ours, whose cells are exact. */
  isOwnExport: boolean;
  /** @throws Error when two columns would be the same */
  read(names: readonly string[], values: readonly unknown[]): Draft;
  /** Columns that held something in a row read so far, and that nothing takes. */
  unused(): string[];
  /** Columns that the mapping, or the command line, leaves out. */
  leftOut(): string[];
  /** @throws UsageError when no row read so far has what the command line maps */
  checkMaps(): void;
}

/** Beside the contract's names: those of the Azure traces. */
const aliases: Readonly<Record<string, TargetName>> = {
  TIMESTAMP: 'occurredAt',
  ContextTokens: 'inputTokens',
  GeneratedTokens: 'outputTokens',
};

const ownTargets = [
  ...(['eventId', 'orgId', 'modelId', 'actorId', 'clientId', 'occurredAt', 'latencyMs'] as const),
  ...(['status', 'errorCode', 'inputTokens', 'outputTokens', 'costEstimateCents'] as const),
  ...(['inputCostCents', 'outputCostCents', 'metadata'] as const),
];
const own = new Map<string, TargetName>(ownTargets.map((name) => [bare(name), name]));
const alias = new Map<string, TargetName>(
  Object.entries(aliases).map(([name, target]) => [bare(name), target]),
);

/** A row cannot be replayed without them: nothing else says when it was, or how much. */
const required = [
  ['occurredAt', 'TIMESTAMP'],
  ['inputTokens', 'ContextTokens'],
  ['outputTokens', 'GeneratedTokens'],
] as const;

/** Where a column's value goes. Those of less rank are read first. */
type Resolved = { slot: string; set: Setter; rank: number } | 'left out' | 'unknown';

interface Shape {
  names: readonly string[];
  setters: readonly { index: number; set: Setter }[];
  unknown: { index: number; name: string }[];
}

const namesMax = 1_000;
const nestingMax = 4;

/**
 * @param names the columns, or the keys of the first rows
 * @throws UsageError when a row could not be read for want of columns, or the choice names none
 */
export function planFor(
  path: string,
  names: readonly string[],
  kind: 'column' | 'key',
  { maps, ignores, timeZone }: ColumnChoice,
): Plan {
  const mapping = mappingOf(names);
  const isOwnExport = isEventsExport(names);
  const reading = { timeZone };
  const mapped = new Map(maps.map((map) => [bare(map.column), requireTarget(map.target)]));
  const mappedSlots = new Set([...mapped.values()].map(({ slot }) => slot));
  const ignored = new Set(ignores.map(bare));
  const foreign = new Map(
    Object.entries(mapping?.columns ?? {}).map(([name, meaning], rank) => [
      bare(name),
      { setter: setterOf(meaning), rank },
    ]),
  );
  const seenMaps = new Set<string>();
  const unused = new Set<string>();
  const leftOut = new Set<string>();
  let last: Shape | undefined;

  function resolve(name: string): Resolved {
    const key = bare(name);
    const chosen = mapped.get(key);
    if (chosen !== undefined) {
      seenMaps.add(key);
      return { ...chosen, rank: rankOf(chosen.slot) };
    }
    if (ignored.has(key) || (isOwnExport && key === 'batchid')) return 'left out';
    const found = foreign.get(key);
    if (found !== undefined) {
      if (found.setter === undefined) return 'left out';
      if (!mappedSlots.has(found.setter.slot)) return { ...found.setter, rank: found.rank - 1_000 };
    }
    const target = own.get(key);
    if (target === undefined || mappedSlots.has(targets[target].slot)) return 'unknown';
    return { ...targets[target], rank: rankOf(targets[target].slot) };
  }

  function shapeOf(columns: readonly string[]): Shape {
    const resolved = columns.map(resolve);
    const slots = new Set(resolved.flatMap((one) => (typeof one === 'string' ? [] : [one.slot])));
    for (const [index, name] of columns.entries()) {
      const target = resolved[index] === 'unknown' ? alias.get(bare(name)) : undefined;
      // Our own name wins over a trace's for the same thing.
      if (target === undefined || slots.has(target) || mappedSlots.has(target)) continue;
      resolved[index] = { ...targets[target], rank: rankOf(target) };
    }
    const seen = new Map<string, string>();
    const setters: { index: number; set: Setter; rank: number }[] = [];
    const unknown: Shape['unknown'] = [];
    for (const [index, name] of columns.entries()) {
      const one = resolved[index] ?? 'unknown';
      if (one === 'unknown') unknown.push({ index, name });
      else if (one === 'left out') leftOut.add(name);
      else {
        const before = seen.get(one.slot);
        // Columns of a mapping's own making add to each other, and say which of them counts.
        if (before !== undefined && one.rank >= 0) {
          throw new Error(`the columns ${before} and ${name} are both ${one.slot}`);
        }
        if (one.slot !== '') seen.set(one.slot, name);
        setters.push({ index, ...one });
      }
    }
    setters.sort((left, right) => left.rank - right.rank);
    return { names: columns, setters, unknown };
  }

  const plan: Plan = {
    mapping,
    isOwnExport,
    read: (rowNames, rowValues) => {
      const { names: columns, values } = flattened(rowNames, rowValues, (name) => {
        return resolve(name) !== 'unknown' || alias.has(bare(name));
      });
      if (last === undefined || !isSame(last.names, columns)) last = shapeOf(columns);
      last.unknown = last.unknown.filter(({ index, name }) => {
        if (isEmpty(values[index])) return true;
        if (unused.size < namesMax) unused.add(name);
        return false;
      });
      const draft = emptyDraft();
      for (const { index, set } of last.setters) {
        const value = values[index];
        if (!isEmpty(value)) set(draft, value, reading);
      }
      if (isOwnExport) unguard(draft, columns, values);
      return draft;
    },
    unused: () => [...unused],
    leftOut: () => [...leftOut],
    checkMaps: () => {
      const unseen = maps.filter(({ column }) => !seenMaps.has(bare(column)));
      if (unseen.length > 0) throw new UsageError(notThere(path, kind, unseen, names));
    },
  };

  // Keys may come in later rows, or lie deeper.
  const isAll = kind === 'column';
  const all = new Set(names.map(bare));
  const absent = maps.filter(({ column }) => !all.has(bare(column)));
  if (isAll && absent.length > 0) throw new UsageError(notThere(path, kind, absent, names));
  const slots = new Set(
    names.flatMap((name) => {
      const one = resolve(name);
      return typeof one === 'string' ? (alias.get(bare(name)) ?? []) : one.slot;
    }),
  );
  const missing = mapping === undefined && (isAll || maps.length === 0) ? missingIn(slots) : [];
  if (missing.length > 0) {
    throw new UsageError(
      `${path} has no ${kind} ${missing.join(', nor ')}; it has: ${namesText(names)}`,
    );
  }
  if (isAll) {
    try {
      last = shapeOf(names);
    } catch (error) {
      throw new UsageError(`${path}: ${messageOf(error)}`);
    }
  }
  return plan;
}

function requireTarget(name: string) {
  const target = targetOf(name);
  if (target !== undefined) return target;
  throw new UsageError(
    `--map: ${name} is none of ${Object.keys(targets).join(', ')} and metadata.KEY`,
  );
}

/** Text is read before what may say it better, in the order of the targets. */
function rankOf(slot: string): number {
  const at = Object.keys(targets).indexOf(slot);
  return at < 0 ? Object.keys(targets).length : at;
}

function notThere(
  path: string,
  kind: 'column' | 'key',
  maps: ColumnChoice['maps'],
  names: readonly string[],
): string {
  const columns = maps.map(({ column }) => column).join(', nor ');
  return `--map: ${path} has no ${kind} ${columns}; it has: ${namesText(names)}`;
}

/** What no column holds though every row needs it, in words. */
function missingIn(slots: ReadonlySet<string>): string[] {
  return required
    .filter(([slot]) => !slots.has(slot) && !(slot === 'occurredAt' && slots.has('startedAt')))
    .map(([slot, name]) => `${slot} (or ${name})`);
}

/** Keys inside of objects that nothing takes whole, as `usage.cost`. */
function flattened(
  names: readonly string[],
  values: readonly unknown[],
  isTaken: (name: string) => boolean,
): { names: readonly string[]; values: readonly unknown[] } {
  const isPlain = values.every((value) => typeof value !== 'object' || value === null);
  if (isPlain) return { names, values };
  const flat: { names: string[]; values: unknown[] } = { names: [], values: [] };
  const add = (name: string, value: unknown, depth: number) => {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (isObject && depth < nestingMax && !isTaken(name)) {
      for (const [key, inner] of Object.entries(value)) add(`${name}.${key}`, inner, depth + 1);
    } else {
      if (flat.names.length >= namesMax) throw new Error(`the row has more than ${namesMax} keys`);
      flat.names.push(name);
      flat.values.push(value);
    }
  };
  for (const [index, name] of names.entries()) add(name, values[index], 1);
  return flat;
}

function isSame(left: readonly string[], right: readonly string[]): boolean {
  if (left === right) return true;
  return left.length === right.length && left.every((name, index) => name === right[index]);
}

/** By all of its columns, in whatever order; a table of another kind has others beside them. */
function isEventsExport(names: readonly string[]): boolean {
  const has = new Set(names);
  return has.size === eventColumns.length && eventColumns.every((name) => has.has(name));
}

/** As only our export writes them: psql copies the same columns with texts as they are. */
const exportedTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

function unguard(draft: Draft, names: readonly string[], values: readonly unknown[]): void {
  const value = (name: string) => values[names.indexOf(name)];
  if (!exportedTime.test(String(value('occurred_at')))) return;
  for (const name of eventTextColumns) {
    const cell = value(name);
    if (typeof cell !== 'string' || cell === '') continue;
    draft.fields[name === 'client_id' ? 'clientId' : 'errorCode'] = unguardedCell(cell);
  }
}
