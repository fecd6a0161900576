import type { RowResult } from './event.ts';

/** What came of the rows of a file. */
export interface Tally {
  rows: number;
  /** Rows that are no events, each named by `onNote`. */
  skipped: number;
  /** Rows that are no inferences, by what they are. */
  passedOver: Record<string, number>;
  /** Events that have a value which their row did not say, by what it is. */
  made: { cost: number; model: number; latency: number; status: number };
  /** Events of which some metadata was cut, or left out. */
  metadataCut: number;
  /** Models that were named, and the ids that come of their names; not all of very many. */
  models: { modelId: string; name: string }[];
}

const modelsMax = 1_000;
const kindsMax = 100;

export function openTally(): { counts: Tally; add: (result: RowResult) => void } {
  const counts: Tally = {
    rows: 0,
    skipped: 0,
    passedOver: {},
    made: { cost: 0, model: 0, latency: 0, status: 0 },
    metadataCut: 0,
    models: [],
  };
  const known = new Set<string>();
  return {
    counts,
    add: (result) => {
      counts.rows += 1;
      if ('fault' in result) {
        counts.skipped += 1;
        return;
      }
      if ('passedOver' in result) {
        const { passedOver } = counts;
        const kind =
          Object.keys(passedOver).length < kindsMax || Object.hasOwn(passedOver, result.passedOver)
            ? result.passedOver
            : 'others';
        passedOver[kind] = (passedOver[kind] ?? 0) + 1;
        return;
      }
      const { event, made, modelName, isMetadataCut } = result;
      if (made.cost) counts.made.cost += 1;
      if (made.model) counts.made.model += 1;
      if (made.latency) counts.made.latency += 1;
      if (made.status) counts.made.status += 1;
      if (isMetadataCut) counts.metadataCut += 1;
      if (modelName === null || known.has(event.modelId) || known.size >= modelsMax) return;
      known.add(event.modelId);
      counts.models.push({ modelId: event.modelId, name: modelName });
    },
  };
}
