import { literalOf } from '../../shared/decimal-json.ts';
import { type Draft, isEmpty, objectOf, textOf } from './draft.ts';
import { type Exact, one, parseExact } from './exact.ts';
import type { Mapping } from './mapping.ts';
import { intoMetadata } from './targets.ts';

/**
 * Observations of Langfuse: from its API or its page (camelCase), or from its blob storage
 * (snake_case). Times are in UTC, costs in USD. Its usage counts cached and reasoning tokens beside
 * the others, so that whatever has `input` in its name adds up to the input, and so for the output.
 */
export const langfuseObservations: Mapping = {
  name: "Langfuse's observations",
  knownBy: [
    ['traceId'],
    ['startTime'],
    ['model', 'providedModelName'],
    ['usageDetails', 'usage', 'inputUsage', 'promptTokens'],
  ],
  columns: {
    id: { metadata: 'requestId' },
    traceId: { metadata: 'traceId' },
    type: { set: setType },
    name: { metadata: 'name' },
    startTime: { to: 'startedAt' },
    endTime: { to: 'occurredAt' },
    completionStartTime: { metadata: 'completionStartTime' },
    model: { to: 'model' },
    providedModelName: { to: 'model' },
    usageDetails: { set: setUsageDetails },
    usage: { set: setUsage },
    inputUsage: { set: setTokens('inputTokens') },
    outputUsage: { set: setTokens('outputTokens') },
    promptTokens: { set: setTokens('inputTokens') },
    completionTokens: { set: setTokens('outputTokens') },
    totalUsage: { leftOut: 'the sum of the other two' },
    totalTokens: { leftOut: 'the sum of the other two' },
    costDetails: { set: setCostDetails },
    totalCost: { set: setCost },
    calculatedTotalCost: { set: setCost },
    inputCost: { leftOut: 'part of the total cost' },
    outputCost: { leftOut: 'part of the total cost' },
    calculatedInputCost: { leftOut: 'part of the total cost' },
    calculatedOutputCost: { leftOut: 'part of the total cost' },
    level: { set: setLevel },
    statusMessage: { metadata: 'statusMessage' },
    userId: { to: 'user' },
    sessionId: { metadata: 'sessionId' },
    environment: { metadata: 'environment' },
    release: { metadata: 'release' },
    traceName: { metadata: 'traceName' },
    tags: { metadata: 'tags' },
    traceTags: { metadata: 'tags' },
    latency: { leftOut: 'endTime less startTime' },
    timeToFirstToken: { leftOut: 'completionStartTime less startTime' },
    ...Object.fromEntries(
      [
        ...['input', 'output', 'metadata', 'modelParameters', 'toolDefinitions', 'toolCalls'],
        ...['projectId', 'parentObservationId', 'version', 'promptId', 'promptName'],
        ...['promptVersion', 'modelId', 'internalModelId', 'inputPrice', 'outputPrice'],
        ...['totalPrice', 'unit', 'bookmarked', 'public', 'createdAt', 'updatedAt', 'scores'],
        ...['providedUsageDetails', 'providedCostDetails', 'usagePricingTierId', 'comments'],
        ...['usagePricingTierName', 'toolCallNames', 'traceTimestamp', 'eventTs', 'isDeleted'],
      ].map((name) => [name, { leftOut: 'content, or of Langfuse alone' }]),
    ),
  },
};

const inferences = new Set(['GENERATION', 'EMBEDDING']);

/** Spans and events are no inferences. */
function setType(draft: Draft, value: unknown): void {
  const type = textOf(value).trim().toUpperCase();
  if (!inferences.has(type)) draft.passedOver = `${type || 'unnamed'} observations`;
}

function setLevel(draft: Draft, value: unknown): void {
  draft.fields.status = textOf(value).trim().toUpperCase() === 'ERROR' ? 'error' : 'success';
}

/** What its names for parts of tokens are called in an event. */
const parts: Readonly<Record<string, string>> = {
  input_cached_tokens: 'cachedInputTokens',
  cache_read_input_tokens: 'cachedInputTokens',
  input_cache_creation: 'cacheWriteInputTokens',
  cache_creation_input_tokens: 'cacheWriteInputTokens',
  input_audio_tokens: 'audioInputTokens',
  output_audio_tokens: 'audioOutputTokens',
  output_reasoning_tokens: 'reasoningOutputTokens',
  output_reasoning: 'reasoningOutputTokens',
};

/** Says more than what may stand beside it. */
function setUsageDetails(draft: Draft, value: unknown, reading: { timeZone: string }): void {
  const usage = objectOf(value) ?? {};
  for (const [name, count] of Object.entries(usage)) {
    const part = parts[name];
    if (part !== undefined && !isEmpty(count)) intoMetadata(part)(draft, count, reading);
  }
  Object.assign(draft.fields, tokensOf(usage));
}

function setUsage(draft: Draft, value: unknown): void {
  draft.fields = { ...tokensOf(objectOf(value) ?? {}), ...draft.fields };
}

function tokensOf(usage: Record<string, unknown>): Draft['fields'] {
  const sums: { input?: Exact; output?: Exact } = {};
  for (const [name, count] of Object.entries(usage)) {
    const amount = /cost|unit/i.test(name) ? undefined : amountOf(count);
    if (amount === undefined) continue;
    const side = ['input', 'output'].find((word) => name.toLowerCase().includes(word));
    if (side === 'input' || side === 'output') sums[side] = (sums[side] ?? 0n) + amount;
  }
  const { input, output } = sums;
  if (input === undefined && output === undefined) return {};
  return {
    inputTokens: Number((input ?? 0n) / one),
    outputTokens: Number((output ?? 0n) / one),
  };
}

function setTokens(name: 'inputTokens' | 'outputTokens') {
  return (draft: Draft, value: unknown): void => {
    const amount = amountOf(value);
    if (amount !== undefined) draft.fields[name] ??= Number(amount / one);
  };
}

function setCostDetails(draft: Draft, value: unknown): void {
  const { total } = objectOf(value) ?? {};
  setCost(draft, total);
}

function setCost(draft: Draft, value: unknown): void {
  const amount = amountOf(value);
  if (amount !== undefined && amount >= 0n) draft.costs.whole ??= amount * 100n;
}

function amountOf(value: unknown): Exact | undefined {
  if (isEmpty(value)) return undefined;
  const isNumber = typeof value === 'number' || literalOf(value) !== undefined;
  return isNumber || typeof value === 'string' ? parseExact(textOf(value).trim()) : undefined;
}
