import { isEmpty, textOf } from './draft.ts';
import { parseWhole } from './exact.ts';
import type { Mapping } from './mapping.ts';
import { type Setter, targets } from './targets.ts';
import { parseRelativeTime } from './time.ts';

/** Traces of research: times and tokens, and no cost. */

/** https://github.com/Azure/AzurePublicDataset: 2023 (no zone, which is UTC) and 2024. */
export const azureTrace: Mapping = {
  name: 'an Azure LLM inference trace',
  knownBy: [['TIMESTAMP'], ['ContextTokens'], ['GeneratedTokens']],
  columns: {
    TIMESTAMP: { to: 'occurredAt' },
    ContextTokens: { to: 'inputTokens' },
    GeneratedTokens: { to: 'outputTokens' },
  },
};

/** https://github.com/HPMLL/BurstGPT: an answer of no tokens is a request that failed. */
export const burstGpt: Mapping = {
  name: 'a BurstGPT trace',
  knownBy: [['Timestamp'], ['Model'], ['Request tokens'], ['Response tokens']],
  columns: {
    Timestamp: { set: relativeTime(1_000) },
    Model: {
      set: (draft, value) => {
        targets.model.set(draft, value);
        draft.provider = 'openai';
      },
    },
    'Request tokens': { to: 'inputTokens' },
    'Response tokens': {
      set: (draft, value, reading) => {
        targets.outputTokens.set(draft, value, reading);
        draft.fields.status = parseWhole(textOf(value)) === 0 ? 'error' : 'success';
      },
    },
    'Total tokens': { leftOut: 'the sum of the other two' },
    'Log Type': { metadata: 'logType' },
    'Session ID': { metadata: 'sessionId' },
    'Elapsed time': { to: 'latencySeconds' },
  },
  isRelative: true,
};

/** https://github.com/kvcache-ai/Mooncake: milliseconds since its start. */
export const mooncakeTrace: Mapping = {
  name: 'a Mooncake trace',
  knownBy: [['timestamp'], ['input_length'], ['output_length']],
  columns: {
    timestamp: { set: relativeTime(1) },
    input_length: { to: 'inputTokens' },
    output_length: { to: 'outputTokens' },
    hash_ids: { leftOut: 'blocks of the prompt' },
    session_id: { metadata: 'sessionId' },
    chat_id: { metadata: 'sessionId' },
    parent_chat_id: { leftOut: 'the turn before' },
    turn: { metadata: 'turn' },
    type: { metadata: 'type' },
  },
  isRelative: true,
};

function relativeTime(unitMs: number): Setter {
  return (draft, value) => {
    if (isEmpty(value)) return;
    const read = parseRelativeTime(textOf(value).trim(), unitMs);
    if ('fault' in read) draft.faults.push(`occurredAt: ${read.fault}`);
    else draft.time = read;
  };
}
