import { type Draft, isEmpty, objectOf, textOf } from './draft.ts';
import { parseWhole } from './exact.ts';
import type { Mapping } from './mapping.ts';
import { intoMetadata, statusOfCode } from './targets.ts';

/**
 * LiteLLM's spend logs (the table LiteLLM_SpendLogs, as CSV or as its API's JSON), and what its
 * loggers write for each call (StandardLoggingPayload). Times are in UTC, or since 1970.
 */
export const litellmSpendLogs: Mapping = {
  name: "LiteLLM's spend logs",
  knownBy: [
    ['request_id', 'litellm_call_id', 'id'],
    ['spend', 'response_cost'],
    ['prompt_tokens'],
    ['completion_tokens'],
    ['startTime'],
    ['endTime'],
  ],
  columns: {
    request_id: { metadata: 'requestId' },
    id: { metadata: 'requestId' },
    litellm_call_id: { metadata: 'callId' },
    trace_id: { metadata: 'traceId' },
    call_type: { metadata: 'operation' },
    api_key: { to: 'clientId' },
    spend: { to: 'costEstimateUsd' },
    response_cost: { to: 'costEstimateUsd' },
    prompt_tokens: { to: 'inputTokens' },
    completion_tokens: { to: 'outputTokens' },
    total_tokens: { leftOut: 'the sum of the other two' },
    startTime: { to: 'startedAt' },
    endTime: { to: 'occurredAt' },
    completionStartTime: { metadata: 'completionStartTime' },
    request_duration_ms: { leftOut: 'endTime less startTime' },
    response_time: { leftOut: 'endTime less startTime' },
    stream: { metadata: 'streamed' },
    model: { set: setModelName },
    custom_llm_provider: { set: setProvider },
    model_id: { metadata: 'deployment' },
    model_group: { metadata: 'modelGroup' },
    api_base: { metadata: 'apiBase' },
    user: { to: 'user' },
    team_id: { metadata: 'team' },
    organization_id: { metadata: 'organization' },
    agent_id: { metadata: 'agent' },
    project_id: { metadata: 'project' },
    end_user: { metadata: 'endUser' },
    session_id: { metadata: 'sessionId' },
    status: { set: setOwnStatus },
    cache_hit: { metadata: 'cacheHit' },
    request_tags: { set: setTags },
    metadata: { set: setFromMetadata },
    mcp_namespaced_tool_name: { metadata: 'tool' },
    cache_key: { leftOut: 'a key of its cache' },
    requester_ip_address: { leftOut: 'personal' },
    messages: { leftOut: 'content' },
    response: { leftOut: 'content' },
    proxy_server_request: { leftOut: 'content' },
    error_information: { set: setError },
    cost_breakdown: { leftOut: 'parts of the cost' },
    saved_cache_cost: { leftOut: 'of its cache' },
    user_agent: { leftOut: 'personal' },
    ...Object.fromEntries(
      [
        ...['error_str', 'model_parameters', 'hidden_params', 'model_map_information'],
        ...['response_cost_failure_debug_info', 'guardrail_information', 'stop_reason'],
        ...[
          'standard_built_in_tools_params',
          'mcp_tool_call_metadata',
          'prompt_management_metadata',
        ],
        ...['vector_store_request_metadata', 'status_fields'],
      ].map((name) => [name, { leftOut: 'of LiteLLM alone' }]),
    ),
  },
};

/** What OpenTelemetry (gen_ai.provider.name) calls a provider, where LiteLLM has its own word. */
const providers: Readonly<Record<string, string>> = {
  azure: 'azure.ai.openai',
  azure_ai: 'azure.ai.inference',
  azure_text: 'azure.ai.openai',
  bedrock: 'aws.bedrock',
  bedrock_converse: 'aws.bedrock',
  gemini: 'gcp.gemini',
  mistral: 'mistral_ai',
  'text-completion-openai': 'openai',
  vertex_ai: 'gcp.vertex_ai',
  vertex_ai_beta: 'gcp.vertex_ai',
  watsonx: 'ibm.watsonx.ai',
  xai: 'x_ai',
};

function setProvider(draft: Draft, value: unknown): void {
  const text = textOf(value).trim();
  draft.provider = providers[text.toLowerCase()] ?? text;
  // Its names of models may begin with its word for the provider, which the provider's do not.
  const prefix = `${text}/`;
  if (draft.modelName?.startsWith(prefix)) draft.modelName = draft.modelName.slice(prefix.length);
}

function setModelName(draft: Draft, value: unknown): void {
  draft.modelName = textOf(value).trim();
}

/** It knows success and failure; what kind of failure, its metadata may tell. */
function setOwnStatus(draft: Draft, value: unknown): void {
  const text = textOf(value).trim().toLowerCase();
  if (text === 'failure') draft.fields.status ??= 'error';
  else draft.fields.status = text;
}

function setTags(draft: Draft, value: unknown): void {
  const text = textOf(value).trim();
  if (text !== '[]' && text !== '{}') draft.metadata.tags = text;
}

/** Where in its metadata stands what an event can use, the first that is there. */
const inMetadata: Readonly<Record<string, readonly string[]>> = {
  team: ['user_api_key_team_id'],
  teamAlias: ['user_api_key_team_alias'],
  keyAlias: ['user_api_key_alias'],
  user: ['user_api_key_user_id'],
  organization: ['user_api_key_org_id'],
  project: ['user_api_key_project_id'],
  cachedInputTokens: [
    'usage_object.cache_read_input_tokens',
    'usage_object.prompt_tokens_details.cached_tokens',
    'additional_usage_values.cache_read_input_tokens',
    'additional_usage_values.prompt_tokens_details.cached_tokens',
  ],
  cacheWriteInputTokens: [
    'usage_object.cache_creation_input_tokens',
    'additional_usage_values.cache_creation_input_tokens',
  ],
  reasoningOutputTokens: [
    'usage_object.completion_tokens_details.reasoning_tokens',
    'additional_usage_values.completion_tokens_details.reasoning_tokens',
  ],
};

function setFromMetadata(draft: Draft, value: unknown, reading: { timeZone: string }): void {
  const given = objectOf(value);
  if (given === undefined) return;
  for (const [key, paths] of Object.entries(inMetadata)) {
    const found = paths.map((path) => at(given, path)).find((one) => !isEmpty(one));
    // A column of the row's own says it first.
    if (found !== undefined && draft.metadata[key] === undefined) {
      intoMetadata(key)(draft, found, reading);
    }
  }
  const hash = at(given, 'user_api_key_hash');
  if (!isEmpty(hash)) draft.fields.clientId ??= textOf(hash);
  setError(draft, at(given, 'error_information'));
}

const errorCodeMax = 128;

/** A code may be that of the HTTP answer, which tells more than that the call failed. */
function setError(draft: Draft, value: unknown): void {
  const code = textOf(objectOf(value)?.error_code ?? '').trim();
  if (code === '') return;
  const number = parseWhole(code);
  draft.fields.errorCode = code.slice(0, errorCodeMax);
  draft.fields.status = number === undefined ? 'error' : statusOfCode(number);
}

function at(value: Record<string, unknown>, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, key) => objectOf(inner)?.[key], value);
}
