import { type Granularity, granularities } from '../../../shared/queries/time-window.ts';
import { parseRange, type RangeChoice, rangeParameters } from './range.ts';

/** What the page shows is all in its address, so that a view can be shared and gone back to. */

export const views = ['usage', 'reliability', 'exports'] as const;
export type View = (typeof views)[number];

export const metrics = ['cost', 'invocations', 'tokens'] as const;
export type Metric = (typeof metrics)[number];

export const breakdowns = ['model', 'client', 'none'] as const;
export type Breakdown = (typeof breakdowns)[number];

export const percentiles = ['all', 'p50', 'p95', 'p99'] as const;
export type Percentile = (typeof percentiles)[number];

export interface ConsoleState {
  view: View;
  /** Null until one is chosen: the first that the actor has. */
  org: string | null;
  range: RangeChoice;
  granularity: 'auto' | Granularity;
  timeZone: string;
  models: readonly string[];
  /** Empty text stands for events without a client. */
  clients: readonly string[];
  metric: Metric;
  by: Breakdown;
  percentile: Percentile;
  compare: boolean;
  /** Exports over all orgs, for admins. */
  isAllOrgs: boolean;
}

/** Reads an address's query. What is missing or makes no sense is the default. */
export function readState(search: string, defaultTimeZone: string): ConsoleState {
  const query = new URLSearchParams(search);
  return {
    view: oneOf(views, query.get('view')) ?? 'usage',
    org: orgId(query.get('org')),
    range: parseRange(query),
    granularity: oneOf(granularities, query.get('granularity')) ?? 'auto',
    timeZone: knownZone(query.get('timezone')) ?? defaultTimeZone,
    models: unique(query.getAll('modelId')),
    clients: unique(query.getAll('clientId')),
    metric: oneOf(metrics, query.get('metric')) ?? 'cost',
    by: oneOf(breakdowns, query.get('by')) ?? 'model',
    percentile: oneOf(percentiles, query.get('percentile')) ?? 'all',
    compare: query.get('compare') !== 'no',
    isAllOrgs: query.get('scope') === 'all',
  };
}

/** The query that `readState` reads back. The zone is always said: another reader's may differ. */
export function writeState(state: ConsoleState): string {
  const query = new URLSearchParams();
  if (state.view !== 'usage') query.set('view', state.view);
  if (state.org !== null) query.set('org', state.org);
  for (const [name, value] of rangeParameters(state.range)) query.set(name, value);
  if (state.granularity !== 'auto') query.set('granularity', state.granularity);
  query.set('timezone', state.timeZone);
  for (const model of state.models) query.append('modelId', model);
  for (const client of state.clients) query.append('clientId', client);
  if (state.metric !== 'cost') query.set('metric', state.metric);
  if (state.by !== 'model') query.set('by', state.by);
  if (state.percentile !== 'all') query.set('percentile', state.percentile);
  if (!state.compare) query.set('compare', 'no');
  if (state.isAllOrgs) query.set('scope', 'all');
  return `?${query}`;
}

function oneOf<const Name extends string>(
  names: readonly Name[],
  given: string | null,
): Name | undefined {
  return names.find((name) => name === given);
}

/** Nothing else: what an address names is put into the paths that are asked. */
function orgId(given: string | null): string | null {
  const id = given?.toLowerCase() ?? '';
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id) ? id : null;
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}

function knownZone(timeZone: string | null): string | undefined {
  if (timeZone === null) return undefined;
  try {
    new Intl.DateTimeFormat('en', { timeZone });
    return timeZone;
  } catch {
    return undefined;
  }
}
