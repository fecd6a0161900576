import { langfuseObservations } from './langfuse.ts';
import { litellmSpendLogs } from './litellm.ts';
import { bare, type Mapping } from './mapping.ts';
import { openAiUsage } from './openai-usage.ts';
import { azureTrace, burstGpt, mooncakeTrace } from './traces.ts';

/** The mapping that a file's columns are known by. */
export function mappingOf(names: readonly string[]): Mapping | undefined {
  const has = new Set(names.map(bare));
  return mappings.find(({ knownBy }) =>
    knownBy.every((some) => some.some((name) => has.has(bare(name)))),
  );
}

const mappings: readonly Mapping[] = [
  litellmSpendLogs,
  openAiUsage,
  langfuseObservations,
  burstGpt,
  mooncakeTrace,
  azureTrace,
];
