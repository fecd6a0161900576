import { parse } from 'csv-parse/sync';
import { describe, expect, test } from 'vitest';
import { eventMaker, type RowResult } from './event.ts';
import { parseExact } from './exact.ts';
import { modelIdOf } from './model-id.ts';
import { type Plan, planFor } from './plan.ts';
import { refusalOf } from './unused.ts';

/** Small files in the shape of other systems', each row with all that an event makes of it. */

function planOf(names: readonly string[]): Plan {
  return planFor('f', names, 'column', { maps: [], ignores: [], timeZone: 'UTC' });
}

function made(plan: Plan, rows: readonly Record<string, unknown>[]): RowResult[] {
  const make = eventMaker({
    rows: rows.length,
    placement: { firstMs: 0, shiftDays: 0, stretch: 1 },
    defaults: {
      orgId: '00000000-0000-0000-0000-00000000000a',
      modelId: '00000000-0000-0000-0000-00000000000b',
      provider: '',
      clientId: null,
      inputPrice: parseExact('300') ?? 0n,
      outputPrice: parseExact('1500') ?? 0n,
      msPerInputToken: 0.1,
      msPerOutputToken: 20,
    },
  });
  return rows.map((row) => make(plan.read(Object.keys(row), Object.values(row))));
}

/** The file as it is, and with its columns the other way round, which must change nothing. */
function read(csv: string) {
  const rows: Record<string, string>[] = parse(csv.trim(), { columns: true });
  const plan = planOf(Object.keys(rows[0] ?? {}));
  const results = made(plan, rows);
  const turned = rows.map((row) => Object.fromEntries(Object.entries(row).reverse()));
  expect(made(planOf(Object.keys(turned[0] ?? {})), turned)).toEqual(results);
  expect(refusalOf('f', plan.unused())).toBeUndefined();
  expect(plan.unused()).toEqual([]);
  return { plan, results };
}

const at = (text: string) => ({ occurredAtMs: Date.parse(text) });
const ownOnly = { cost: false, model: false, latency: false, status: false };
const key = '0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0';

describe("LiteLLM's spend logs", () => {
  const csv = `
request_id,call_type,api_key,spend,total_tokens,prompt_tokens,completion_tokens,startTime,endTime,completionStartTime,model,model_id,model_group,custom_llm_provider,api_base,user,metadata,cache_hit,cache_key,request_tags,team_id,end_user,requester_ip_address,messages,response,session_id,status
chatcmpl-0001,acompletion,${key},2e-05,521,121,400,2026-11-20 12:47:35.248,2026-11-20 12:47:39.112,2026-11-20 12:47:36.002,gpt-4o-mini,,gpt-4o-mini,openai,https://api.openai.com,default_user_id,"{""user_api_key_alias"":""team-a""}",False,Cache OFF,[],,,127.0.0.1,{},{},,success
chatcmpl-a,acompletion,a1b2,0.0184140,1242,18,1224,2026-11-20 12:47:35.248,2026-11-20 12:47:59.112,,claude-3-5-sonnet,,claude,bedrock,,u,"{}",False,Cache OFF,[],,,127.0.0.1,{},{},,failure`;

  test('arrive with spend, status, user and team', () => {
    const { plan, results } = read(csv);
    expect(plan.leftOut()).toEqual([
      ...['total_tokens', 'cache_key', 'requester_ip_address', 'messages', 'response'],
    ]);
    expect(results).toMatchObject([
      {
        event: {
          ...at('2026-11-20T12:47:39.112Z'),
          modelId: modelIdOf('openai', 'gpt-4o-mini'),
          clientId: key,
          latencyMs: 3_864,
          status: 'success',
          inputTokens: 121,
          outputTokens: 400,
          costEstimateCents: '0.0020',
          metadata: {
            modelName: 'gpt-4o-mini',
            provider: 'openai',
            user: 'default_user_id',
            keyAlias: 'team-a',
            requestId: 'chatcmpl-0001',
          },
        },
        made: ownOnly,
        modelName: 'openai/gpt-4o-mini',
      },
      {
        event: {
          modelId: modelIdOf('aws.bedrock', 'claude-3-5-sonnet'),
          clientId: 'a1b2',
          latencyMs: 23_864,
          status: 'error',
          costEstimateCents: '1.8414',
          metadata: { provider: 'aws.bedrock', user: 'u' },
        },
        made: ownOnly,
      },
    ]);
  });

  test('tell more in their metadata: team, cached tokens, what kind of failure', () => {
    const metadata = {
      user_api_key_team_id: 'team-1',
      user_api_key_team_alias: 'Search',
      usage_object: {
        prompt_tokens_details: { cached_tokens: 90 },
        completion_tokens_details: { reasoning_tokens: 7 },
      },
      error_information: { error_code: '429', error_class: 'RateLimitError' },
    };
    const row = {
      ...{ request_id: 'a', spend: 0, prompt_tokens: 100, completion_tokens: 0 },
      ...{ startTime: '2026-11-20T12:00:00Z', endTime: '2026-11-20T12:00:01Z', metadata },
      ...{ model: 'azure/gpt-4o', custom_llm_provider: 'azure', status: 'failure' },
    };
    const expected = [
      {
        event: {
          modelId: modelIdOf('azure.ai.openai', 'gpt-4o'),
          status: 'throttled',
          errorCode: '429',
          costEstimateCents: '0.0000',
          metadata: {
            team: 'team-1',
            teamAlias: 'Search',
            cachedInputTokens: '90',
            reasoningOutputTokens: '7',
          },
        },
      },
    ];
    expect(made(planOf(Object.keys(row)), [row])).toMatchObject(expected);
    const turned = Object.fromEntries(Object.entries(row).reverse());
    expect(made(planOf(Object.keys(turned)), [turned])).toMatchObject(expected);
    const inText = { ...row, metadata: JSON.stringify(metadata) };
    expect(made(planOf(Object.keys(row)), [inText])).toMatchObject(expected);
  });
});

test("OpenAI's usage export arrives with user, project and cached tokens", () => {
  const { plan, results } = read(`
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens,input_text_tokens,output_text_tokens
1763596800,1763683200,2025-11-20T00:00:00+00:00,2025-11-21T00:00:00+00:00,proj_abc,42,user-x,key_y,gpt-4o-2024-08-06,False,default,125000,32000,90000,35000,125000,32000`);
  expect(plan.mapping?.note).toContain('invocations count rows');
  expect(results).toMatchObject([
    {
      event: {
        // The end would be the next day's beginning.
        ...at('2025-11-20T00:00:00Z'),
        modelId: modelIdOf('openai', 'gpt-4o-2024-08-06'),
        clientId: 'key_y',
        inputTokens: 125_000,
        outputTokens: 32_000,
        // Of one request, not of all 42.
        latencyMs: Math.round((12_500 + 640_000) / 42),
        metadata: {
          user: 'user-x',
          project: 'proj_abc',
          tier: 'default',
          requests: '42',
          cachedInputTokens: '90000',
        },
      },
      made: { cost: true, model: false, latency: true, status: true },
    },
  ]);
});

test("what LiteLLM's loggers write for a call", () => {
  const row = {
    ...{ id: 'chatcmpl-1', trace_id: 't', call_type: 'acompletion', stream: true },
    ...{ response_cost: 0.0000725, status: 'failure', total_tokens: 521, prompt_tokens: 121 },
    ...{ completion_tokens: 400, startTime: 1763596800.25, endTime: 1763596804.5 },
    ...{ model: 'gpt-4o', custom_llm_provider: 'openai', end_user: '', response_time: 4.25 },
    metadata: { user_api_key_hash: 'hash-1', user_api_key_team_id: 'team-1' },
    error_information: { error_code: '504', error_class: 'Timeout' },
    ...{ hidden_params: { a: 1 }, cost_breakdown: { input_cost: 1 }, messages: [], response: {} },
  };
  const plan = planOf(Object.keys(row));
  expect(made(plan, [row])).toMatchObject([
    {
      event: {
        ...at('2025-11-20T00:00:04.500Z'),
        modelId: modelIdOf('openai', 'gpt-4o'),
        clientId: 'hash-1',
        latencyMs: 4_250,
        status: 'timeout',
        errorCode: '504',
        costEstimateCents: '0.0073',
        metadata: { requestId: 'chatcmpl-1', team: 'team-1', streamed: 'true' },
      },
      made: ownOnly,
    },
  ]);
  expect(plan.unused()).toEqual([]);
});

describe("Langfuse's observations", () => {
  const cells = {
    id: 'obs-1',
    traceId: 'trace-1',
    type: 'GENERATION',
    name: 'answer',
    startTime: '2026-11-20T12:00:00.000Z',
    endTime: '2026-11-20T12:00:02.500Z',
    completionStartTime: '2026-11-20T12:00:00.700Z',
    model: 'gpt-4o',
    usageDetails: { input: 10, input_cached_tokens: 90, output: 20, total: 120 },
    costDetails: { input: 0.0001, output: 0.0002, total: 0.0003 },
    level: 'ERROR',
    statusMessage: 'overloaded',
    userId: 'bob',
    sessionId: 's-1',
    latency: 2.5,
    input: { messages: [] },
    metadata: { a: { b: 1 } },
  };
  const event = {
    ...at('2026-11-20T12:00:02.500Z'),
    modelId: modelIdOf('', 'gpt-4o'),
    latencyMs: 2_500,
    status: 'error',
    inputTokens: 100,
    outputTokens: 20,
    costEstimateCents: '0.0300',
    metadata: {
      user: 'bob',
      sessionId: 's-1',
      cachedInputTokens: '90',
      statusMessage: 'overloaded',
    },
  };

  test.each([
    ['of its API', cells],
    [
      'of its API, with the older keys beside',
      {
        promptTokens: 1,
        usage: { input: 1, output: 1, unit: 'TOKENS', inputCost: 5 },
        calculatedTotalCost: 0.0003,
        ...cells,
      },
    ],
    [
      'of its blob storage',
      {
        ...Object.fromEntries(
          Object.entries(cells)
            .filter(([name]) => name !== 'model')
            .map(([name, value]) => [
              name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
              value,
            ]),
        ),
        start_time: '2026-11-20 12:00:00.000000',
        end_time: '2026-11-20 12:00:02.500000',
        provided_model_name: 'gpt-4o',
        total_cost: 0.0003,
      },
    ],
    [
      'as CSV',
      Object.fromEntries(
        Object.entries(cells).map(([name, value]) => [
          name,
          typeof value === 'object' ? JSON.stringify(value) : String(value),
        ]),
      ),
    ],
  ])('%s', (_, row) => {
    const plan = planOf(Object.keys(row));
    expect(made(plan, [row])).toMatchObject([{ event, made: ownOnly }]);
    expect(plan.unused()).toEqual([]);
  });

  test('that are no inferences are passed over', () => {
    const span = { ...cells, type: 'SPAN', model: null, usageDetails: {} };
    const plan = planOf(Object.keys(span));
    expect(made(plan, [span, cells])).toMatchObject([
      { passedOver: 'SPAN observations' },
      { event },
    ]);
  });
});

test('a BurstGPT trace counts seconds from its start, and its failures have no answer', () => {
  const { plan, results } = read(`
Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45.5,GPT-4,417,0,417,API log`);
  expect(plan.mapping?.isRelative).toBe(true);
  expect(results).toMatchObject([
    {
      event: {
        occurredAtMs: 5_000,
        modelId: modelIdOf('openai', 'ChatGPT'),
        inputTokens: 472,
        outputTokens: 18,
        status: 'success',
        metadata: { logType: 'Conversation log' },
      },
    },
    { event: { occurredAtMs: 45_500, outputTokens: 0, status: 'error' } },
  ]);
});

test('a Mooncake trace counts milliseconds from its start', () => {
  const rows = [
    { timestamp: 0, input_length: 6_758, output_length: 500, hash_ids: [0, 1, 2] },
    { timestamp: 3_052, input_length: 7_319, output_length: 490, hash_ids: [0, 14] },
  ];
  const plan = planOf(Object.keys(rows[0] ?? {}));
  expect(plan.mapping?.isRelative).toBe(true);
  expect(made(plan, rows)).toMatchObject([
    { event: { occurredAtMs: 0, inputTokens: 6_758, outputTokens: 500 } },
    { event: { occurredAtMs: 3_052, inputTokens: 7_319, outputTokens: 490 } },
  ]);
});

test.each([
  ['2023', '2023-11-16 18:17:03.9799600', '2023-11-16T18:17:03.979Z'],
  ['2024', '2024-05-10 00:00:00.009930+00:00', '2024-05-10T00:00:00.009Z'],
  ['2024', '2024-05-10 00:00:01+00:00', '2024-05-10T00:00:01Z'],
])('an Azure trace of %s', (_, time, expected) => {
  const { plan, results } = read(`TIMESTAMP,ContextTokens,GeneratedTokens\n${time},2162,5`);
  expect(plan.mapping?.name).toBe('an Azure LLM inference trace');
  expect(results).toMatchObject([
    { event: { ...at(expected), inputTokens: 2_162, outputTokens: 5 } },
  ]);
});

test('a model is the version 5 uuid of its provider and name', () => {
  // Python: uuid.uuid5(uuid.NAMESPACE_URL, 'openai/gpt-4o')
  expect(modelIdOf('openai', 'gpt-4o')).toBe('c371cc0f-0007-5396-93aa-c3f3ffd2da4d');
  expect(modelIdOf(' OpenAI', 'GPT-4o ')).toBe(modelIdOf('openai', 'gpt-4o'));
});
