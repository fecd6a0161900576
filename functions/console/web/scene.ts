import type { Granularity, Range } from '../../../shared/queries/time-window.ts';
import { planWindow, pointsMax } from '../../../shared/queries/time-window.ts';
import type { Config } from './answers.ts';
import { ApiError, type Query } from './api.ts';
import { instantText } from './range.ts';
import type { Breakdown, ConsoleState } from './state.ts';

/** All that a view is drawn from. */
export interface Scene {
  state: ConsoleState;
  config: Config;
  org: string;
  orgName: string | null;
  /** By model id; those without a name are left out. */
  modelNames: ReadonlyMap<string, string>;
  /** Every model that the org has ever used. */
  modelIds: readonly string[];
  range: Range;
  granularity: Granularity;
  bucketStarts: readonly number[];
  /**
   * The period to compare with, whole and as far as this one has come; null where nobody wants to.
   */
  before: { whole: Range; soFar: Range } | null;
  /** Goes to another address of the console. */
  go(change: Partial<ConsoleState>): void;
}

/** Where each bucket of a window begins, as the API divides it. */
export function bucketsOf(
  range: Range,
  granularity: Granularity,
  timeZone: string,
): readonly number[] {
  try {
    return planWindow({ ...range, granularity, timeZone }, { anyHours: true }).bucketStarts;
  } catch (error) {
    // The API would say the same.
    const detail = error instanceof Error ? error.message : String(error);
    throw new ApiError('The request is not valid', detail, 400);
  }
}

export function modelLabel({ modelNames }: Pick<Scene, 'modelNames'>, id: string): string {
  return modelNames.get(id) ?? `model ${id.slice(0, 8)}`;
}

export function clientLabel(id: string): string {
  return id === '' ? '(no client)' : id;
}

/** What a group of a series is called. */
export function groupLabel(scene: Scene, key: string): string {
  return scene.state.by === 'client' ? clientLabel(key) : modelLabel(scene, key);
}

/** The parameters of the API that a view's filters stand for. */
export function windowQuery(
  { state, range, granularity }: Scene,
  groupBy: Breakdown,
  over: { range?: Range; granularity?: Granularity } = {},
): Query {
  const { startMs, endMs } = over.range ?? range;
  return [
    ['start', instantText(startMs)],
    ['end', instantText(endMs)],
    ['granularity', over.granularity ?? granularity],
    ['timezone', state.timeZone],
    ['groupBy', groupBy],
    ...state.models.map((id) => ['modelId', id] as const),
    ...state.clients.map((id) => ['clientId', id] as const),
  ];
}

const slicesMax = 8;

/**
 * A series that may have more points than one answer can: asked for in slices of time, which end
 * where buckets do.
 *
 * @param groupsExpected in each bucket
 */
export async function inSlices<Point>(
  { range, bucketStarts }: Pick<Scene, 'range' | 'bucketStarts'>,
  groupsExpected: number,
  fetch: (range: Range) => Promise<readonly Point[]>,
): Promise<Point[]> {
  let slices = Math.ceil((bucketStarts.length * Math.max(groupsExpected, 1)) / pointsMax);
  for (; ; slices *= 2) {
    const count = Math.min(slices, slicesMax, bucketStarts.length);
    try {
      const series = await Promise.all(slicesOf(range, bucketStarts, count).map(fetch));
      return series.flat();
    } catch (error) {
      const isTooLarge = error instanceof ApiError && / points: /.test(error.message);
      if (!isTooLarge || count < slices || count === bucketStarts.length) throw error;
    }
  }
}

function slicesOf(range: Range, bucketStarts: readonly number[], count: number): Range[] {
  const cuts = Array.from(
    { length: Math.max(count - 1, 0) },
    (_, index) =>
      bucketStarts[Math.floor(((index + 1) * bucketStarts.length) / count)] ?? range.endMs,
  );
  const edges = [range.startMs, ...cuts, range.endMs];
  return edges.slice(1).map((endMs, index) => ({ startMs: edges[index] ?? endMs, endMs }));
}

/** What is asked about the period before must not spoil the view: null where it cannot be had. */
export async function ifPossible<T>(asked: Promise<T> | null): Promise<T | null> {
  if (asked === null) return null;
  try {
    return await asked;
  } catch (error) {
    if (error instanceof ApiError && error.status === 400) return null;
    throw error;
  }
}
