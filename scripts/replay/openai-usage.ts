import { textOf } from './draft.ts';
import { parseWhole } from './exact.ts';
import type { Mapping } from './mapping.ts';
import { intoMetadata, targets } from './targets.ts';

/**
 * OpenAI's usage export: a row sums up a model, a key and a user over a day or an hour. It becomes
 * one event at the start of that time; its end is the next one's start.
 */
export const openAiUsage: Mapping = {
  name: 'an OpenAI usage export',
  knownBy: [['num_model_requests'], ['start_time'], ['input_tokens'], ['output_tokens']],
  columns: {
    start_time: { to: 'occurredAt' },
    end_time: { leftOut: 'the row is counted at its start' },
    start_time_iso: { leftOut: 'start_time again' },
    end_time_iso: { leftOut: 'end_time again' },
    model: {
      set: (draft, value) => {
        targets.model.set(draft, value);
        draft.provider = 'openai';
      },
    },
    api_key_id: { to: 'clientId' },
    user_id: { to: 'user' },
    project_id: { metadata: 'project' },
    service_tier: { metadata: 'tier' },
    batch: { metadata: 'batch' },
    num_model_requests: {
      set: (draft, value, reading) => {
        intoMetadata('requests')(draft, value, reading);
        draft.requests = Math.max(1, parseWhole(textOf(value)) ?? 1);
      },
    },
    input_tokens: { to: 'inputTokens' },
    output_tokens: { to: 'outputTokens' },
    input_cached_tokens: { metadata: 'cachedInputTokens' },
    input_audio_tokens: { metadata: 'audioInputTokens' },
    output_audio_tokens: { metadata: 'audioOutputTokens' },
    input_image_tokens: { metadata: 'imageInputTokens' },
    output_image_tokens: { metadata: 'imageOutputTokens' },
    input_cached_text_tokens: { leftOut: 'part of input_cached_tokens' },
    input_cached_audio_tokens: { leftOut: 'part of input_cached_tokens' },
    input_cached_image_tokens: { leftOut: 'part of input_cached_tokens' },
    input_uncached_tokens: { leftOut: 'the rest of input_tokens' },
    input_text_tokens: { leftOut: 'part of input_tokens' },
    output_text_tokens: { leftOut: 'part of output_tokens' },
  },
  note:
    'a row sums up num_model_requests requests and becomes one event: invocations count rows, ' +
    'and the number of requests is in metadata.requests',
};
